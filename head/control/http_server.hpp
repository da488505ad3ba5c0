// HTTP/1.1 on a Unix socket: a fixed number of threads, each serving one connection at a time, over
// cpp-httplib's parser. Requests are bounded in size and time before anything is made of them, and
// every refusal is a problem object.
#pragma once

#include "head/control/http.hpp"
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

  iouring::UniqueFd listener_;
  iouring::UniqueFd stop_;  // An eventfd: readable for ever once it is time to end.
  std::unique_ptr<Protocol> protocol_;
  std::vector<std::jthread> threads_;
};

}  // namespace head::control
