// import: many discs at once.
#include "tools/headctl/commands.hpp"
#include "tools/headctl/import_file.hpp"
#include "tools/headctl/output.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

namespace headctl {

namespace {

using nlohmann::json;

std::size_t count(const json& import, const char* state) {
  return import["by_state"].value(state, std::size_t{0});
}

std::string summary(const json& import) {
  std::string text = fmt::format("{} discs", import["total"].dump());
  if (import["unchanged"] != 0)
    text += fmt::format(", {} attached before", import["unchanged"].dump());
  for (const char* state : {"ready", "pending", "resolving", "connecting", "reconnecting", "held",
                            "failed", "detaching"})
    if (const std::size_t n = count(import, state); n != 0)
      text += fmt::format(", {} {}", n, state);
  return text;
}

// On a terminal: one line that is written over.
void show_progress(std::size_t done, std::size_t total, const std::string& text, bool last) {
  constexpr std::size_t bar_width = 40;
  progress(progress_bar(done, total, bar_width, err_style()) + " " + text, last);
}

std::size_t ready(const json& import) {
  return import["unchanged"].get<std::size_t>() + count(import, "ready");
}

// A list on its way to headd, in parts when it is long. All of it is checked before any of it is
// attached: what is still refused after that, somebody else caused in between.
class Delivery {
 public:
  Delivery(Client& client, ImportList list)
      : client_(client),
        file_(std::move(list.name)),
        lines_(std::move(list.lines)),
        total_(list.discs->size()),
        repeated_(repeated_name(*list.discs)),
        parts_(split(std::move(*list.discs), part_discs_max, part_bytes_max)) {}

  // What headd says of the import when it has accepted everything. Whatever goes wrong, the
  // sentence ends with what has become of the list.
  json send() {
    try {
      if (parts_.size() > 1) check();
      return attach();
    } catch (const Refused& refused) {
      throw Failure(refused.status, fmt::format("{}: {}; {}", place(refused.index), refused.what(),
                                                consequence(0)));
    } catch (const Unanswered& unanswered) {
      throw Failure(unanswered.status,
                    fmt::format("{}; {}", unanswered.what(), consequence(under_way_)));
    } catch (const Failure& failure) {
      throw Failure(failure.status, fmt::format("{}; {}", failure.what(), consequence(0)));
    }
  }

 private:
  static constexpr std::size_t part_discs_max = 10'000;   // headd writes all its discs for each.
  static constexpr std::size_t part_bytes_max = 3 << 20;  // headd takes 4 MiB.

  void check() {
    if (repeated_) throw Refused(Exit::invalid, "its name is in the list before", repeated_);
    std::size_t added = 0;
    std::size_t checked = 0;
    for (const json& part : parts_) {
      const json answer = post("/v1/import?check=true", part, checked);
      added += answer["total"].get<std::size_t>() - answer["unchanged"].get<std::size_t>();
      checked += part.size();
      show_progress(0, total_, fmt::format("{} of {} checked", checked, total_), false);
    }
    const json status = client_.get("/v1/status");
    const auto most = status["discs_max"].get<std::size_t>();
    if (status["discs"].get<std::size_t>() + added > most)
      throw Refused(
          Exit::refused,
          fmt::format("with these {} discs there would be more than the {} that data.discs_max "
                      "allows; raise it, or detach some",
                      added, most),
          std::nullopt);
  }

  json attach() {
    json import;
    for (const json& part : parts_) {
      std::string path = "/v1/import";
      if (attached_ != 0) path += "?part_of=" + import["id"].dump();
      under_way_ = part.size();
      import = post(path, part, attached_);
      attached_ += std::exchange(under_way_, 0);
      if (parts_.size() > 1)
        show_progress(ready(import), total_,
                      fmt::format("{} of {} accepted, {} ready", attached_, total_, ready(import)),
                      false);
    }
    return import;
  }

  // `before`: so many discs of the list are in other parts.
  json post(const std::string& path, const json& part, std::size_t before) {
    try {
      return client_.post(path, {{"discs", part}});
    } catch (const Refused& refused) {
      if (!refused.index) throw;
      throw Refused(refused.status, refused.what(), *refused.index + before);
    }
  }

  std::string place(std::optional<std::size_t> index) const {
    if (!index || *index >= lines_.size()) return file_;
    return lines_[*index] != 0 ? fmt::format("{}:{}", file_, lines_[*index])
                               : fmt::format("{}: disc {} of the list", file_, *index + 1);
  }

  // What has become of the list, when of so many discs after those attached nobody knows.
  std::string consequence(std::size_t unknown) const {
    if (attached_ == 0 && unknown == 0) return "nothing was attached";
    std::string what = fmt::format("the first {} discs may be attached", unknown);
    if (attached_ != 0) what = fmt::format("the {} discs before are attached", attached_);
    if (attached_ != 0 && unknown != 0) what += fmt::format(", the next {} may be", unknown);
    return what + "; import the list again once that is mended";
  }

  Client& client_;
  const std::string file_;
  const std::vector<std::size_t> lines_;
  const std::size_t total_;
  const std::optional<std::size_t> repeated_;
  const std::vector<json> parts_;
  std::size_t attached_ = 0;   // Discs that headd has accepted.
  std::size_t under_way_ = 0;  // Discs after these that it is asked to attach.
};

// Until the import is settled. Where nobody said --wait, only as long as it gets on: discs may
// have tails that are not there, and it goes on without being looked at. False: some would have to
// be waited for longer than `patience`, in which no other one became ready.
bool follow(Client& client, json& import, std::chrono::seconds patience) {
  const std::string path = fmt::format("/v1/imports/{}?wait=1", import["id"].dump());
  auto got_on = std::chrono::steady_clock::now();
  std::size_t most = ready(import);
  for (;;) {
    const bool settled = import["settled"].get<bool>();
    const auto asked = std::chrono::steady_clock::now();
    const bool last = settled || asked - got_on > patience;
    show_progress(ready(import), import["total"].get<std::size_t>(), summary(import), last);
    if (last) return settled;
    json next = client.get(path);
    if (ready(next) > most) got_on = std::chrono::steady_clock::now();
    most = std::max(most, ready(next));
    import = std::move(next);
    if (!import["settled"].get<bool>()) pause_if_early(asked);
  }
}

}  // namespace

Exit import(const Context& context, const ImportOptions& options) {
  if (options.moves) return import_moves(context, options.file);
  Client client = context.client();
  json answer = Delivery(client, read_import(options.file)).send();
  constexpr std::chrono::seconds glance{3};
  const std::chrono::seconds timeout(options.timeout_s);
  bool settled = true;
  if (options.wait || on_terminal())
    settled = follow(client, answer, options.wait ? timeout : glance);
  if (context.json)
    print(answer);
  else
    print(summary(answer) + "\n");
  if (options.wait && !settled)
    throw Failure(Exit::timed_out,
                  fmt::format("no other disc of the list became ready within {} s; headd goes on "
                              "trying: `headctl discs` has what each waits for",
                              options.timeout_s));
  const bool bad = count(answer, "failed") + count(answer, "held") != 0;
  return options.wait && bad ? Exit::not_ready : Exit::done;
}

}  // namespace headctl
