#include "head/control/http_server.hpp"

#include "head/base/log.hpp"
#include "head/base/post_mortem.hpp"
#include "head/control/http_connection.hpp"

#include <fmt/format.h>
#include <httplib.h>

#include <charconv>
#include <optional>
#include <sys/resource.h>
#include <unistd.h>

namespace head::control {

namespace {

using iouring::UniqueFd;

constexpr int niceness = 10;
constexpr std::size_t path_max = 256;  // httplib matches paths by a regular expression, recursing.

// A connection as httplib's parser wants it.
class Stream final : public httplib::Stream {
 public:
  explicit Stream(HttpConnection& connection) : connection_(connection) {}

  bool is_readable() const override { return connection_.is_readable(); }
  bool is_writable() const override { return true; }
  ssize_t read(char* into, std::size_t size) override { return connection_.read(into, size); }
  ssize_t write(const char* from, std::size_t size) override {
    return connection_.write(from, size);
  }
  void get_remote_ip_and_port(std::string& ip, int& port) const override {
    ip.clear();
    port = 0;
  }
  void get_local_ip_and_port(std::string& ip, int& port) const override {
    ip.clear();
    port = 0;
  }
  // httplib refuses descriptors that select(2) cannot take, and a head has many descriptors. It
  // uses the number for nothing else.
  socket_t socket() const override { return 0; }

 private:
  HttpConnection& connection_;
};

void put(HttpResponse&& from, httplib::Response& into) {
  into.status = from.status;
  for (const auto& [name, value] : from.headers) into.set_header(name, value);
  into.set_header("Content-Type", from.content_type);
  into.body = std::move(from.body);
}

bool has_body(const std::string& method) {
  return method == "PUT" || method == "POST" || method == "PATCH";
}

// The one Content-Length, in bytes.
std::optional<std::size_t> length_of(const httplib::Request& request) {
  if (request.get_header_value_count("Content-Length") != 1) return std::nullopt;
  const std::string text = request.get_header_value("Content-Length");
  std::size_t length = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return length;
}

}  // namespace

// cpp-httplib without its sockets: 0.11 knows only TCP.
class HttpServer::Protocol final : private httplib::Server {
 public:
  Protocol(HttpHandler& handler, const HttpLobby& lobby) : handler_(handler), lobby_(lobby) {
    set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      return before_body(request, response) ? HandlerResponse::Handled : HandlerResponse::Unhandled;
    });
    const auto handle = [this](const httplib::Request& request, httplib::Response& response) {
      answer(request, response);
    };
    Put(".*", handle).Post(".*", handle).Patch(".*", handle);
    set_error_handler(HandlerWithResponse([](const httplib::Request&, httplib::Response& response) {
      if (response.body.empty())
        put(current_->is_cut_off()
                ? problem(Problem::unavailable, "headd is ending, and nothing was done; ask again")
                : problem(Problem::bad_request, "this is not a request as HTTP/1.1 has it"),
            response);
      return HandlerResponse::Handled;
    }));
    set_exception_handler(
        [](const httplib::Request&, httplib::Response& response, const std::exception_ptr&) {
          put(problem(Problem::out_of_memory, "the request was not carried out; try it again"),
              response);
        });
  }

  // One request; false when the connection is to end.
  bool serve(HttpConnection& connection) {
    bool closed = false;
    make_way_ = false;
    current_ = &connection;
    held_.clear();
    Stream stream(connection);
    const bool served = process(*this, stream, closed, [](httplib::Request& request) {
      // Every body is JSON, whatever it is called: nothing is to be made of forms. Nor of ranges.
      request.headers.erase("Content-Type");
      request.ranges.clear();
    });
    held_.clear();
    connection.finish();
    if (!connection.keeps()) connection.drain();
    return served && !closed && !make_way_ && connection.keeps();
  }

 private:
  // httplib 0.12 and later also want addresses, which Unix sockets have not.
  template <class Self, class Setup>
  static bool process(Self& self, Stream& stream, bool& closed, Setup setup) {
    if constexpr (requires { self.process_request(stream, false, closed, setup); })
      return self.process_request(stream, false, closed, setup);
    else
      return self.process_request(stream, "", 0, "", 0, false, closed, setup);
  }

  // True when the request is answered without its body, or has none.
  bool before_body(const httplib::Request& request, httplib::Response& response) {
    const auto refuse = [&](Problem kind, std::string_view detail) {
      response.set_header("Connection", "close");
      put(problem(kind, detail), response);
      return true;
    };
    if (request.path.size() > path_max)
      return refuse(Problem::no_such_route, "no path is that long; see API.md");
    if (auto objection = handler_.objection(head_of(request), current_->socket())) {
      response.set_header("Connection", "close");
      put(std::move(*objection), response);
      return true;
    }
    if (request.has_header("Transfer-Encoding"))
      return refuse(Problem::length_required,
                    "a body's length must be given as Content-Length; chunks are not taken");
    if (request.has_header("Content-Encoding"))
      return refuse(Problem::unsupported_encoding,
                    "bodies are taken as they are; send it without Content-Encoding");
    const auto length = length_of(request);
    if (!has_body(request.method)) {
      if (request.has_header("Content-Length") && length != std::size_t{0})
        return refuse(Problem::bad_request,
                      fmt::format("{} takes no body; send it without one", request.method));
      answer(request, response);
      return true;
    }
    if (!length)
      return refuse(Problem::length_required, "a body's length must be given as Content-Length");
    const std::size_t most = handler_.body_max(request.method, request.path);
    if (*length > most)
      return refuse(Problem::too_large,
                    fmt::format("the body has {} bytes and {} takes {} at most; send it in parts",
                                *length, request.path, most));
    held_.push_back(handler_.room_for_body(*length));
    if (held_.back() == nullptr)
      return refuse(Problem::out_of_memory,
                    fmt::format("bodies of others take all the memory that there is for them, and "
                                "this one has {} bytes; nothing was done, try it again",
                                *length));
    current_->expect_body(*length);
    return false;
  }

  // All but its body.
  static HttpRequest head_of(const httplib::Request& from) {
    HttpRequest request{.method = from.method, .path = from.path, .query = {}, .body = {}};
    for (const auto& [name, value] : from.params) request.query.emplace_back(name, value);
    if (from.get_header_value_count("Host") == 1) request.host = from.get_header_value("Host");
    return request;
  }

  void answer(const httplib::Request& from, httplib::Response& into) {
    HttpRequest request = head_of(from);
    request.body = from.body;
    HttpResponse response = handler_.on_request(request);
    held_.push_back(std::move(response.held));
    put(std::move(response), into);
    current_->keep();
    if (!lobby_.somebody_waits()) return;
    into.set_header("Connection", "close");
    make_way_ = true;
  }

  HttpHandler& handler_;
  const HttpLobby& lobby_;
  static inline thread_local bool make_way_ = false;
  static inline thread_local HttpConnection* current_ = nullptr;
  static inline thread_local std::vector<std::shared_ptr<void>> held_;  // Of this request.
};

HttpServer::HttpServer(UniqueFd listener, HttpHandler& handler, unsigned threads)
    : lobby_(std::move(listener), threads), protocol_(std::make_unique<Protocol>(handler, lobby_)) {
  try {
    for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { serve(); });
  } catch (...) {
    lobby_.end();  // Those that there are would wait for clients for ever.
    throw;
  }
}

HttpServer::~HttpServer() {
  lobby_.end();
  threads_.clear();
}

void HttpServer::serve() {
  // Where processors are short, guests go first. (A thread has a niceness of its own:
  // setpriority(2), "C library/kernel differences".)
  ::pthread_setname_np(::pthread_self(), "api");
  post_mortem::guard_thread();
  const auto self = static_cast<id_t>(::gettid());
  ::setpriority(PRIO_PROCESS, self, ::getpriority(PRIO_PROCESS, self) + niceness);
  while (UniqueFd client = lobby_.next_client()) {
    try {
      const auto connection = std::make_unique<HttpConnection>(std::move(client), lobby_);
      while (connection->wait_for_request() && protocol_->serve(*connection)) {
      }
    } catch (const std::exception& error) {
      static log::RateLimit limit;
      if (const auto pass = limit.pass(std::chrono::steady_clock::now()))
        log::warning("an API connection ended early: {} ({} more like it)", error.what(),
                     pass->held);
    }
    lobby_.leave();
  }
}

}  // namespace head::control
