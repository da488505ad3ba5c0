// doctor: can this head stall? What headd finds, or, where there is none, what the kernel tells.
#include "tools/headctl/doctor.hpp"

#include "head/neigh/examine.hpp"
#include "tools/headctl/commands.hpp"
#include "tools/headctl/output.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <system_error>

namespace headctl {

namespace {

using nlohmann::json;

json of_kernel(const DoctorOptions& options, const std::string& why) {
  head::neigh::Examination asked;
  asked.devs = options.devs;
  if (options.discs >= 0) asked.discs = static_cast<std::uint64_t>(options.discs);
  head::neigh::Evidence evidence;
  try {
    evidence.kernel = head::neigh::examine(asked);
  } catch (const std::system_error& error) {
    throw Failure(Exit::refused, fmt::format("the kernel cannot be asked: {}", error.what()));
  }
  evidence.no_daemon = why;
  return json::parse(to_json_text(evidence, diagnose(evidence)));
}

// Of the answer, once something was added to it.
void judge_again(json& answer) {
  std::string verdict = "well";
  for (const json& finding : answer["findings"])
    if (verdict != "can-stall") verdict = finding["severity"] == "stall" ? "can-stall" : "warnings";
  answer["verdict"] = verdict;
}

void add(json& answer, const char* id, const std::string& sentence, const std::string& evidence) {
  answer["findings"].push_back({{"id", id},
                                {"severity", "warning"},
                                {"sentence", sentence},
                                {"evidence", evidence},
                                {"fix", "systemctl restart headd"}});
  judge_again(answer);
}

json of_headd(Client& client, const DoctorOptions& options) {
  const auto running = client.get("/v1/status").value("version", std::string("unknown"));
  json answer;
  try {
    answer = client.get("/v1/doctor");
  } catch (const Refused& refused) {
    answer = of_kernel(options, "");
    add(answer, "headd-old", "the headd that runs has no doctor: it is older than headctl",
        fmt::format("headd {} says: {}", running, refused.what()));
    return answer;
  }
  if (running != HEAD_VERSION)
    add(answer, "versions-differ", "the headd that runs is not of headctl's version",
        fmt::format("headd is {}, headctl {}", running, HEAD_VERSION));
  return answer;
}

}  // namespace

json examined(const Context& context, const DoctorOptions& options) {
  if (options.kernel) return of_kernel(options, "");
  try {
    Client client = context.client();
    return of_headd(client, options);
  } catch (const Failure& failure) {
    if (failure.status != Exit::unreachable) throw;
    return of_kernel(options, failure.what());
  }
}

Exit doctor(const Context& context, const DoctorOptions& options) {
  const json answer = examined(context, options);
  if (context.json)
    print(answer);
  else
    print(doctor_text(answer, out_style()));
  // Not those of other commands: 0 nothing, 1 warnings, 2 this head can stall.
  const std::string verdict = answer["verdict"];
  return static_cast<Exit>(verdict == "well" ? 0 : verdict == "warnings" ? 1 : 2);
}

}  // namespace headctl
