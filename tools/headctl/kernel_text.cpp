#include "tools/headctl/kernel_text.hpp"

#include "netlink/format.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <tuple>

namespace headctl {

namespace {

using netlink::Neighbour;
using nlohmann::json;

constexpr std::size_t piece_bytes = 64 * 1024;

std::string json_string(std::string_view text) {
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

// Appends to one buffer that is handed on whenever it is full enough.
class Writer {
 public:
  explicit Writer(const Sink& sink) : sink_(sink) { text_.reserve(piece_bytes + 4096); }
  ~Writer() { sink_(text_); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  Writer& operator<<(std::string_view text) {
    text_.append(text);
    return *this;
  }
  // Thousandths as the JSON library writes such a number: at least one digit after the point.
  Writer& seconds(std::uint32_t ms) {
    char digits[16];
    const auto whole = std::to_chars(digits, digits + sizeof digits, ms / 1000);
    text_.append(digits, whole.ptr);
    const std::uint32_t rest = ms % 1000;
    const char after[] = {'.', static_cast<char>('0' + rest / 100),
                          static_cast<char>('0' + rest / 10 % 10),
                          static_cast<char>('0' + rest % 10)};
    text_.append(after, rest % 10 != 0 ? 4u : rest % 100 != 0 ? 3u : 2u);
    return *this;
  }
  void end_of_entry() {
    if (text_.size() < piece_bytes) return;
    sink_(text_);
    text_.clear();
  }

 private:
  const Sink& sink_;
  std::string text_;
};

void write(Writer& out, const Neighbour& entry, const std::string& quoted_dev) {
  out << "    {\n      \"address\": \"" << netlink::to_string(entry.key.address)
      << "\",\n      \"confirmed_s\": ";
  out.seconds(entry.confirmed_ms) << ",\n      \"dev\": " << quoted_dev
                                  << ",\n      \"discs\": [],\n";
  if (entry.lladdr) out << "      \"lladdr\": \"" << netlink::to_string(*entry.lladdr) << "\",\n";
  out << "      \"marks\": \"" << netlink::marks(entry) << "\",\n      \"owner\": \""
      << netlink::owner_name(entry) << "\",\n      \"state\": \"" << netlink::nud_name(entry.state)
      << "\",\n      \"updated_s\": ";
  out.seconds(entry.updated_ms) << ",\n      \"used_s\": ";
  out.seconds(entry.used_ms) << "\n    }";
  out.end_of_entry();
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

void write_answer(const netlink::TableState& table, std::vector<Neighbour> entries,
                  const DeviceNames& names, bool all, const Sink& sink) {
  // Those that chosen() passes over unless all are asked for.
  if (!all)
    std::erase_if(entries, [](const Neighbour& entry) {
      return entry.state == netlink::nud::noarp || entry.state == netlink::nud::none;
    });
  std::stable_sort(entries.begin(), entries.end(), [&](const Neighbour& a, const Neighbour& b) {
    if (a.key.address != b.key.address) return a.key.address < b.key.address;
    return names.at(a.key.ifindex) < names.at(b.key.ifindex);
  });
  DeviceNames quoted_names;
  for (const auto& [ifindex, name] : names) quoted_names[ifindex] = json_string(name);

  Writer out(sink);
  out << "{\n  \"entries\": [";
  for (const Neighbour& entry : entries) {
    out << (&entry == entries.data() ? "\n" : ",\n");
    write(out, entry, quoted_names.at(entry.key.ifindex));
  }
  // What follows is small: "{\n" of it is said already.
  const std::string rest = kernel_answer(table).dump(2, ' ', false, json::error_handler_t::replace);
  out << (entries.empty() ? "],\n" : "\n  ],\n") << std::string_view(rest).substr(2) << "\n";
}

}  // namespace headctl
