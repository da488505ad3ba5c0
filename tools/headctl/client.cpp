#include "tools/headctl/client.hpp"

#include <fmt/format.h>
#include <httplib.h>
#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace headctl {

namespace {

using nlohmann::json;

// Longer than the daemon lets anybody wait.
constexpr time_t answer_seconds_max = 120;

Exit exit_of(const std::string& type) {
  const auto is = [&](const char* name) { return type == std::string("urn:headstart:") + name; };
  if (is("bad-disc") || is("bad-config") || is("bad-json") || is("too-large")) return Exit::invalid;
  if (is("no-such-disc") || is("no-such-import") || is("no-such-tail")) return Exit::missing;
  if (is("disc-exists") || is("disc-detaching") || is("outdated")) return Exit::conflict;
  if (is("not-permitted")) return Exit::forbidden;
  if (is("too-many-discs") || is("memory-ceiling") || is("not-stored") || is("out-of-memory") ||
      is("unavailable"))
    return Exit::refused;
  if (is("not-upgraded")) return Exit::not_upgraded;
  if (is("upgrade-under-way")) return Exit::under_way;
  if (is("disc-held")) return Exit::held;
  return Exit::unexpected;
}

std::string text_of(const json& body) {
  try {
    return body.dump();
  } catch (const json::type_error&) {
    throw Failure(Exit::invalid, "names and URIs are written in UTF-8, and this is not");
  }
}

}  // namespace

// cpp-httplib's client, connected to a Unix socket: 0.11 knows only TCP.
class Client::Http final : public httplib::ClientImpl {
 public:
  Http(std::string path, std::optional<Client::Time> until)
      : ClientImpl("head", 80), path_(std::move(path)), until_(until) {
    set_keep_alive(true);
    set_read_timeout(answer_seconds_max, 0);
    set_write_timeout(answer_seconds_max, 0);
    set_url_encode(false);
  }

  // Before each question.
  Http& in_time() {
    if (!until_) return *this;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        *until_ - std::chrono::steady_clock::now());
    if (left.count() <= 0) throw Unanswered(Exit::unreachable, too_late());
    set_read_timeout(left);
    return *this;
  }

  void check(const httplib::Result& result) const {
    if (!result && error_ == 0 && result.error() == httplib::Error::Read && until_)
      throw Unanswered(Exit::unreachable, too_late());
    if (!result) {
      const std::string sentence = fmt::format(
          "cannot reach headd at {}: {}; is it running? --api PATH names another socket", path_,
          error_ != 0 ? std::strerror(error_) : "it ended the connection");
      if (error_ == 0) throw Unanswered(Exit::unreachable, sentence);
      throw Failure(Exit::unreachable, sentence);
    }
  }

  json answer(const httplib::Result& result) const {
    check(result);
    json body = json::parse(result->body, nullptr, false);
    if (body.is_discarded())
      throw Failure(Exit::unexpected,
                    fmt::format("what answers at {} is not headd: its answer is not JSON", path_));
    if (result->status < 400) return body;
    std::optional<std::size_t> index;
    if (body.contains("index")) index = body["index"].get<std::size_t>();
    throw Refused(exit_of(body.value("type", "")), body.value("detail", "headd gave no reason"),
                  index);
  }

 private:
  bool create_and_connect_socket(Socket& socket, httplib::Error& error) override {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    error = httplib::Error::Connection;
    if (path_.size() >= sizeof address.sun_path) return fail(ENAMETOOLONG);
    std::memcpy(address.sun_path, path_.c_str(), path_.size());
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return fail(errno);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      const int why = errno;
      ::close(fd);
      return fail(why);
    }
    error_ = 0;
    socket.sock = fd;
    error = httplib::Error::Success;
    return true;
  }

  bool fail(int error) {
    error_ = error;
    return false;
  }

  std::string too_late() const {
    return fmt::format("headd at {} did not answer in time; does it hang?", path_);
  }

  const std::string path_;
  const std::optional<Client::Time> until_;
  int error_ = 0;
};

std::string encoded(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '_' || c == '-';
    safe += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return safe;
}

std::string disc_path(const std::string& name) {
  if (name.empty()) throw Failure(Exit::invalid, "a disc's name cannot be empty");
  return "/v1/discs/" + encoded(name);
}

Client::Client(std::string socket_path, std::optional<Time> until)
    : http_(std::make_unique<Http>(std::move(socket_path), until)) {}
Client::~Client() = default;

json Client::get(const std::string& path) {
  return http_->answer(http_->in_time().Get(path));
}

std::string Client::text(const std::string& path) {
  auto result = http_->in_time().Get(path);
  http_->check(result);
  if (result->status >= 400) http_->answer(result);  // Throws what was said.
  return std::move(result->body);
}

json Client::put(const std::string& path, const json& body) {
  return http_->answer(http_->in_time().Put(path, text_of(body), "application/json"));
}

json Client::post(const std::string& path, const json& body) {
  return http_->answer(http_->in_time().Post(path, text_of(body), "application/json"));
}

json Client::patch(const std::string& path, const json& body) {
  return http_->answer(http_->Patch(path, text_of(body), "application/json"));
}

json Client::remove(const std::string& path) {
  return http_->answer(http_->in_time().Delete(path));
}

void pause_if_early(std::chrono::steady_clock::time_point asked) {
  std::this_thread::sleep_until(asked + std::chrono::milliseconds(200));
}

}  // namespace headctl
