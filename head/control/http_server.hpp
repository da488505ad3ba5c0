// HTTP/1.1 on a listening socket: a fixed number of threads, each serving one connection at a time,
// over cpp-httplib's parser. Requests are bounded in size and time before anything is made of them,
// and every refusal is a problem object. Clients that keep a thread for nothing make way for
// others.
#pragma once

#include "head/control/http.hpp"
#include "head/control/http_lobby.hpp"
#include "iouring/unique_fd.hpp"

#include <memory>
#include <thread>
#include <vector>

namespace head::control {

class HttpServer {
 public:
  // `handler` outlives it.
  HttpServer(iouring::UniqueFd listener, HttpHandler& handler, unsigned threads);
  // Ends idle connections at once, others after their answer. Whoever lets handlers wait must end
  // that first.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

 private:
  class Protocol;

  void serve();

  HttpLobby lobby_;
  std::unique_ptr<Protocol> protocol_;
  std::vector<std::jthread> threads_;
};

}  // namespace head::control
