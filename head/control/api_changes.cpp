// What helps whoever looks for a fault: the doctor, what became of entries, the log, head.toml,
// reports of crashes.
#include "head/base/log.hpp"
#include "head/control/api.hpp"
#include "head/control/api_json.hpp"
#include "head/control/api_request.hpp"
#include "head/control/crash_reports.hpp"
#include "head/control/doctor.hpp"
#include "head/control/secrets.hpp"
#include "netlink/format.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>
#include <fstream>
#include <net/if.h>

namespace head::control {

using nlohmann::json;

namespace {

constexpr std::size_t config_bytes_max = 1 << 20;

std::string name_of(int ifindex) {
  std::array<char, IF_NAMESIZE> name{};
  if (::if_indextoname(static_cast<unsigned>(ifindex), name.data()) != nullptr) return name.data();
  return std::to_string(ifindex);
}

json to_json(const neigh::PastChange& past) {
  const netlink::Change& change = past.change;
  const netlink::Neighbour& entry = change.entry();
  const double at = std::chrono::duration<double>(past.at.time_since_epoch()).count();
  const char* event = past.written     ? "written"
                      : !change.before ? "new"
                      : !change.after  ? "gone"
                                       : "changed";
  json object = {{"time", at},
                 {"address", netlink::to_string(entry.key.address)},
                 {"dev", name_of(entry.key.ifindex)},
                 {"event", event},
                 {"what", past.written ? "written by headd" : netlink::what_changed(change)},
                 {"state", netlink::nud_name(entry.state)},
                 {"owner", netlink::owner_name(entry)},
                 {"marks", netlink::marks(entry)}};
  if (change.before) object["state_before"] = netlink::nud_name(change.before->state);
  if (entry.lladdr) object["lladdr"] = netlink::to_string(*entry.lladdr);
  if (change.before && change.before->lladdr)
    object["lladdr_before"] = netlink::to_string(*change.before->lladdr);
  if (!past.disc.empty()) object["disc"] = past.disc;
  return object;
}

}  // namespace

HttpResponse Api::doctor() const {
  const neigh::Evidence evidence = evidence_of(agent_);
  return {.status = 200, .body = neigh::to_json_text(evidence, neigh::diagnose(evidence))};
}

HttpResponse Api::changes(const HttpRequest& request) const {
  const std::string* text = query(request, "since");
  const auto since = text != nullptr ? number<std::int64_t>(*text) : 0;
  constexpr std::int64_t latest = std::int64_t{1} << 33;  // Seconds: the clock's range is less.
  if (!since || *since < 0 || *since > latest)
    return problem(Problem::bad_request, "since is a time in whole seconds since 1970");
  const std::chrono::system_clock::time_point from{std::chrono::seconds(*since)};
  json list = json::array();
  for (const neigh::PastChange& change : agent_.changes(from)) list.push_back(to_json(change));
  return {.status = 200, .body = to_body({{"changes", std::move(list)}})};
}

HttpResponse Api::log() {
  return {.status = 200, .body = to_body({{"lines", head::log::kept()}})};
}

HttpResponse Api::crashes() const {
  json list = json::array();
  for (const CrashReport& report : crash_reports(options_.crashes))
    list.push_back({{"name", report.name}, {"text", report.text}});
  return {.status = 200, .body = to_body({{"crashes", std::move(list)}})};
}

HttpResponse Api::config() const {
  std::string text(config_bytes_max, '\0');
  std::ifstream file(options_.config, std::ios::binary);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  return {.status = 200,
          .body = to_body({{"path", options_.config.native()}, {"text", without_secrets(text)}})};
}

}  // namespace head::control
