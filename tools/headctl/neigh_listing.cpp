#include "tools/headctl/neigh_listing.hpp"

#include "netlink/format.hpp"
#include "tools/headctl/neigh_list.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <exception>
#include <simdjson.h>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace headctl {

namespace {

using netlink::Neighbour;
using nlohmann::json;
namespace ondemand = simdjson::ondemand;

constexpr std::size_t piece_bytes = 64 * 1024;

std::string indented(const json& value) {
  return value.dump(2, ' ', false, json::error_handler_t::replace);
}

// What follows the entries: the first line, a brace, was said before them.
std::string after_entries(const json& rest, bool none) {
  return (none ? "],\n" : "\n  ],\n") + indented(rest).substr(2) + "\n";
}

bool is_for_kernel_only(std::string_view state) {
  return state == "NOARP" || state == "NONE";
}

// Where what is read next begins.
const char* position(ondemand::document& document) {
  return document.current_location();
}

HeaddAnswer::Entry read_entry(ondemand::object object) {
  HeaddAnswer::Entry entry;
  for (ondemand::field field : object) {
    const ondemand::raw_json_string name = field.key();
    ondemand::value& value = field.value();
    const auto read = [&](std::string_view wanted, auto& into) {
      const bool found = name == wanted;
      if (found) into = std::remove_reference_t<decltype(into)>(value);
      return found;
    };
    if (read("address", entry.written_address) || read("dev", entry.dev) ||
        read("lladdr", entry.lladdr) || read("state", entry.state) || read("owner", entry.owner) ||
        read("marks", entry.marks) || read("confirmed_s", entry.confirmed_s) ||
        read("used_s", entry.used_s) || read("updated_s", entry.updated_s) || name != "discs")
      continue;
    for (const std::string_view disc : value.get_array())
      if (entry.discs++ == 0) entry.first_disc = disc;
  }
  const auto address = netlink::parse_ip6(entry.written_address);
  if (!address) throw std::invalid_argument("an entry without an address");
  entry.address = *address;
  return entry;
}

}  // namespace

json entry_of(const Neighbour& neighbour, const std::string& dev) {
  json entry = {{"address", netlink::to_string(neighbour.key.address)},
                {"dev", dev},
                {"state", netlink::nud_name(neighbour.state)},
                {"owner", netlink::owner_name(neighbour)},
                {"marks", netlink::marks(neighbour)},
                {"confirmed_s", neighbour.confirmed_ms / 1e3},
                {"used_s", neighbour.used_ms / 1e3},
                {"updated_s", neighbour.updated_ms / 1e3},
                {"discs", json::array()}};
  if (neighbour.lladdr) entry["lladdr"] = netlink::to_string(*neighbour.lladdr);
  return entry;
}

json kernel_answer(const netlink::TableState& table) {
  return {{"source", "kernel"},
          {"table",
           {{"limits",
             {{"gc_thresh1", table.limits.thresh1},
              {"gc_thresh2", table.limits.thresh2},
              {"gc_thresh3", table.limits.thresh3}}},
            {"entries", table.entries},
            {"forced_collections", table.forced_gc_runs},
            {"overflows", table.table_fulls},
            {"failed_resolutions", table.resolutions_failed}}}};
}

std::string answer_text(json answer) {
  const json entries = std::move(answer["entries"]);
  answer.erase("entries");
  std::string text = "{\n  \"entries\": [";
  for (const json& entry : entries) {
    text += &entry == &entries.front() ? "\n    " : ",\n    ";
    text += entry.dump(-1, ' ', false, json::error_handler_t::replace);
  }
  return text + after_entries(answer, entries.empty());
}

struct HeaddAnswer::Parsed {
  std::string body;
  ondemand::parser parser{};  // It has the strings of the entries.
  std::vector<Entry> entries{};
  json rest{};
};

HeaddAnswer::HeaddAnswer(std::unique_ptr<Parsed> parsed) : parsed_(std::move(parsed)) {}
HeaddAnswer::~HeaddAnswer() = default;
HeaddAnswer::HeaddAnswer(HeaddAnswer&&) noexcept = default;
HeaddAnswer& HeaddAnswer::operator=(HeaddAnswer&&) noexcept = default;

const json& HeaddAnswer::rest() const noexcept {
  return parsed_->rest;
}

std::vector<HeaddAnswer::Entry>& HeaddAnswer::entries() noexcept {
  return parsed_->entries;
}

std::optional<HeaddAnswer> HeaddAnswer::parse(std::string body) try {
  constexpr std::size_t entry_bytes = 350;  // Few are smaller.
  body.reserve(body.size() + simdjson::SIMDJSON_PADDING);
  auto parsed = std::make_unique<Parsed>(std::move(body));
  std::vector<Entry>& entries = parsed->entries;
  entries.reserve(parsed->body.size() / entry_bytes);
  ondemand::document document = parsed->parser.iterate(parsed->body);
  const char* const begin = parsed->body.data();
  std::string rest;
  for (ondemand::field field : document.get_object()) {
    if (field.key() != "entries") continue;
    rest = std::string(begin, position(document)) + "[]";
    for (ondemand::value value : field.value().get_array()) {
      const char* const from = position(document);
      entries.push_back(read_entry(value));
      const std::string_view text(from, static_cast<std::size_t>(position(document) - from));
      entries.back().text = text.substr(0, text.rfind('}') + 1);  // A blank may follow.
    }
    rest += std::string(position(document), begin + parsed->body.size());
  }
  parsed->rest = json::parse(rest);
  parsed->rest.erase("entries");
  return HeaddAnswer(std::move(parsed));
} catch (const std::exception&) {
  return {};
}

Listing::Listing(HeaddAnswer* headd, KernelTable& kernel, bool all)
    : rest_(std::make_shared<json>(headd != nullptr ? headd->rest() : kernel_answer(kernel.state))),
      names_(kernel.names) {
  if (headd != nullptr) (*rest_)["source"] = "headd";
  std::vector<HeaddAnswer::Entry> none;
  merge(headd != nullptr ? headd->entries() : none, kernel.entries, all);
}

void Listing::merge(std::vector<HeaddAnswer::Entry>& of_headd, std::vector<Neighbour>& of_kernel,
                    bool all) {
  const auto sort = [](auto& entries, const auto& before) {
    if (!std::ranges::is_sorted(entries, before)) std::ranges::stable_sort(entries, before);
  };
  sort(of_headd, [](const HeaddAnswer::Entry& a, const HeaddAnswer::Entry& b) {
    return a.address != b.address ? a.address < b.address : a.dev < b.dev;
  });
  const auto dev = [&](const Neighbour& entry) -> std::string_view {
    return names_.at(entry.key.ifindex);
  };
  sort(of_kernel, [&](const Neighbour& a, const Neighbour& b) {
    if (a.key.address != b.key.address) return a.key.address < b.key.address;
    return a.key.ifindex != b.key.ifindex && dev(a) < dev(b);
  });

  rows_.reserve(of_headd.size() + of_kernel.size());
  const auto add = [&](const Row& row) {
    ++read_;
    if (all || !is_for_kernel_only(row.state())) rows_.push_back(row);
  };
  auto ours = of_headd.begin();
  for (const Neighbour& entry : of_kernel) {
    const auto is_before = [&](const HeaddAnswer::Entry& a) {
      return a.address != entry.key.address ? a.address < entry.key.address : a.dev < dev(entry);
    };
    for (; ours != of_headd.end() && is_before(*ours); ++ours) add({&*ours, nullptr});
    const bool known =
        ours != of_headd.end() && ours->address == entry.key.address && ours->dev == dev(entry);
    add({known ? &*ours++ : nullptr, &entry});
  }
  for (; ours != of_headd.end(); ++ours) add({&*ours, nullptr});
}

// What headd keeps is ABSENT where the kernel has nothing usable of it.
std::string_view Listing::Row::state() const noexcept {
  if (is_whole()) return headd->state;
  const bool absent = headd != nullptr && (kernel == nullptr || kernel->state == 0);
  return absent ? "ABSENT" : netlink::nud_name(kernel->state);
}

void Listing::write_json(const Sink& sink) const {
  DeviceNames quoted;
  for (const auto& [ifindex, name] : names_)
    quoted[ifindex] = json(name).dump(-1, ' ', false, json::error_handler_t::replace);
  std::string text = "{\n  \"entries\": [";
  for (const Row& row : rows_) {
    text += &row == rows_.data() ? "\n    " : ",\n    ";
    if (row.is_whole()) {
      text += row.headd->text;
    } else {
      if (row.headd != nullptr) {
        text += row.headd->text.substr(0, row.headd->text.size() - 1);  // But for the brace.
      } else {
        netlink::append(text += R"({"address":")", row.kernel->key.address);
        text.append(R"(","dev":)").append(quoted.at(row.kernel->key.ifindex));
        text += R"(,"discs":[])";
      }
      netlink::append_members(text, row.of_kernel(), row.state());
      text += '}';
    }
    if (text.size() < piece_bytes) continue;
    sink(text);
    text.clear();
  }
  sink(text += after_entries(*rest_, rows_.empty()));
}

Table Listing::table() const {
  Table table = empty_neigh_table();
  std::string address, lladdr;
  for (const Row& row : rows_) {
    const HeaddAnswer::Entry* const said = row.headd;
    if (said != nullptr) {
      table.cell(said->written_address).cell(said->dev);
    } else {
      address.clear();
      netlink::append(address, row.kernel->key.address);
      table.cell(address).cell(names_.at(row.kernel->key.ifindex));
    }
    const std::string_view state = row.state();
    const bool there = state != "ABSENT";
    if (row.is_whole()) {
      table.cell(said->lladdr).cell(state).cell(there ? said->owner : "");
      for (const double seconds : {said->confirmed_s, said->used_s, said->updated_s})
        table.cell(there ? human_age(seconds) : "");
      table.cell(said->marks);
    } else {
      const Neighbour& kernel = row.of_kernel();
      lladdr.clear();
      if (kernel.lladdr) netlink::append(lladdr, *kernel.lladdr);
      table.cell(lladdr).cell(state).cell(there ? netlink::owner_name(kernel) : "");
      for (const std::uint32_t ms : {kernel.confirmed_ms, kernel.used_ms, kernel.updated_ms})
        table.cell(there ? human_age(ms / 1e3) : "");
      table.cell(netlink::marks(kernel));
    }
    table.cell(said != nullptr ? discs_text(said->first_disc, said->discs) : "");
  }
  return table;
}

}  // namespace headctl
