#include "head/neigh/examine.hpp"

#include <nlohmann/json.hpp>

namespace head::neigh {

namespace {

using nlohmann::json;

json ladder_of(const DaemonEvidence& daemon) {
  json rungs = json::array();
  for (const Rung& rung : ladder)
    rungs.push_back({{"name", rung.name},
                     {"what", rung.what},
                     {"possible", possible(rung.strategy, daemon.capabilities)},
                     {"chosen", daemon.enabled && rung.strategy == daemon.strategy}});
  return rungs;
}

}  // namespace

std::string to_json_text(const Evidence& evidence, const std::vector<Finding>& findings) {
  json list = json::array();
  for (const Finding& finding : findings) {
    json one = {{"id", finding.id},
                {"severity", to_string(finding.gravity)},
                {"sentence", finding.sentence},
                {"evidence", finding.evidence},
                {"fix", finding.fix}};
    if (!finding.subject.empty()) one["subject"] = finding.subject;
    list.push_back(std::move(one));
  }
  json object = {{"verdict", verdict(findings)},
                 {"source", evidence.daemon ? "headd" : "kernel"},
                 {"findings", std::move(list)}};
  if (evidence.daemon) object["strategies"] = ladder_of(*evidence.daemon);
  return object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace head::neigh
