// The API: what each path and method does, as API.md documents it. Knows HTTP only as values; a
// handler never throws and never answers "internal error".
#pragma once

#include "head/control/agent.hpp"
#include "head/control/exchange_room.hpp"
#include "head/control/http.hpp"
#include "head/control/memory_account.hpp"
#include "head/control/metrics.hpp"
#include "head/control/reload.hpp"

#include <nlohmann/json_fwd.hpp>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

namespace head::control {

inline constexpr std::size_t disc_body_max = 64 * 1024;
inline constexpr std::size_t import_body_max = 4 * 1024 * 1024;
inline constexpr unsigned api_threads = 16;
inline constexpr unsigned api_waiters_max = 12;  // Then the rest still get quick answers.
inline constexpr std::chrono::seconds api_wait_max{60};

class Upgrader;

class Api final : public HttpHandler {
 public:
  struct Options {
    std::filesystem::path run_dir;
    std::string version;
    bool neighbours = true;               // Kept, not only looked at.
    std::filesystem::path config{};       // The file that was read; empty: none.
    std::filesystem::path crashes{};      // The folder with reports of them.
    std::optional<gid_t> operators{};     // Who may change something; absent: whoever connects.
    Reloader* reloader = nullptr;         // Outlives the API; null: nothing can be read again.
    Upgrader* upgrader = nullptr;         // The same; null: no other headd can take over.
    std::vector<std::string> problems{};  // What of the API itself cannot be had, and the way out.
  };

  // `agent` outlives it.
  Api(Agent& agent, Options options);

  // Ends every wait with what is known then; none begins any more.
  void stop() noexcept;

  std::optional<HttpResponse> objection(const HttpRequest& request, int client) override;
  HttpResponse on_request(const HttpRequest& request) noexcept override;
  std::size_t body_max(const std::string& method, const std::string& path) noexcept override;
  std::shared_ptr<void> room_for_body(std::size_t bytes) override;

 private:
  HttpResponse route(const HttpRequest& request);
  HttpResponse get(const HttpRequest& request);
  HttpResponse get_long(const HttpRequest& request);
  HttpResponse discs() const;
  HttpResponse one_disc(const HttpRequest& request, const std::string& name);
  HttpResponse attach(const HttpRequest& request, const std::string& name);
  HttpResponse detach(const HttpRequest& request, const std::string& name);
  HttpResponse change(const HttpRequest& request, const std::string& name);
  HttpResponse import(const HttpRequest& request);
  HttpResponse import(const std::string& text, const ImportRequest& how);
  HttpResponse move(const HttpRequest& request);
  HttpResponse reload();
  HttpResponse upgrade(const HttpRequest& request);
  HttpResponse one_import(const HttpRequest& request, const std::string& id);
  static HttpResponse page();
  HttpResponse status() const;
  HttpResponse latency(const HttpRequest& request, const std::string& name) const;
  HttpResponse stalls(const HttpRequest& request) const;
  HttpResponse neighbours(const HttpRequest& request) const;
  HttpResponse metrics(const HttpRequest& request);
  HttpResponse doctor() const;
  HttpResponse crashes() const;
  HttpResponse changes(const HttpRequest& request) const;
  static HttpResponse log();
  HttpResponse config() const;

  nlohmann::json shown(const DiscStatus& disc) const;
  // Until `settled` holds, the time that `request` gives is over, or too many wait already.
  // In turn with others that take as much memory; the answer keeps its room until it is sent.
  template <class Make>
  HttpResponse at_length(Make make);
  template <class Settled>
  void wait(const HttpRequest& request, Settled settled);

  Agent& agent_;
  const Options options_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  Groups groups_{metric_groups_max};
  // Whoever makes a long list, or something of one, does so alone: it is many times as large as its
  // text. Guards groups_.
  std::timed_mutex at_length_;
  ExchangeRoom bodies_{memory::api_exchange_max};
  ExchangeRoom answers_{memory::api_exchange_max};  // On their way to who asked.
  std::atomic<bool> stopping_{false};
  std::atomic<unsigned> waiters_{0};
};

}  // namespace head::control
