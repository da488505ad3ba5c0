// The whole neighbour table by address: headd's entries as the text that it sent, and beside them
// those that only the kernel has. No JSON value is made for an entry: there may be 100,000. Pure;
// neigh_list.hpp has the slower functions for those who ask for some of the entries, or for another
// order.
#pragma once

#include "netlink/neighbour.hpp"
#include "netlink/thresholds.hpp"
#include "tools/headctl/text.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace headctl {

using DeviceNames = std::map<int, std::string>;  // By ifindex; of every entry's.

// What the kernel has.
struct KernelTable {
  netlink::TableState state;
  std::vector<netlink::Neighbour> entries;
  DeviceNames names;
};

nlohmann::json entry_of(const netlink::Neighbour& neighbour, const std::string& dev);
nlohmann::json kernel_answer(const netlink::TableState& table);  // Without entries.

// An answer as `headctl neigh --json` prints it: indented, but each entry in one line.
std::string answer_text(nlohmann::json answer);

// What headd answered, taken apart: its entries remain text.
class HeaddAnswer {
 public:
  // Views into the answer, as long as that lives.
  struct Entry {
    netlink::Ip6 address{};
    std::string_view text;  // All of it, as headd wrote it.
    std::string_view written_address, dev, first_disc;
    // What the kernel has of it: "" and 0 where headd was asked to leave that out.
    std::string_view lladdr, state, owner, marks;
    std::size_t discs = 0;
    double confirmed_s = 0, used_s = 0, updated_s = 0;
  };

  // Nothing where `body` is not what headd answers.
  static std::optional<HeaddAnswer> parse(std::string body);
  ~HeaddAnswer();
  HeaddAnswer(HeaddAnswer&&) noexcept;
  HeaddAnswer& operator=(HeaddAnswer&&) noexcept;

  const nlohmann::json& rest() const noexcept;  // Without the entries.
  std::vector<Entry>& entries() noexcept;

 private:
  struct Parsed;
  explicit HeaddAnswer(std::unique_ptr<Parsed> parsed);

  std::unique_ptr<Parsed> parsed_;
};

class Listing {
 public:
  // headd's entries, each with what the kernel has of it, and those that only the kernel has;
  // without those in a state that only the kernel has a use for (NOARP, NONE), unless `all` are
  // asked for. Both must outlive it.
  Listing(HeaddAnswer* headd, KernelTable& kernel, bool all);

  std::size_t shown() const noexcept { return rows_.size(); }
  std::size_t read() const noexcept { return read_; }
  const nlohmann::json& rest() const noexcept { return *rest_; }  // The answer without entries.

  // The answer as JSON, in pieces of some 64 KiB.
  using Sink = std::function<void(std::string_view)>;
  void write_json(const Sink& sink) const;
  // The same as neigh_table() has it.
  Table table() const;

 private:
  // At least one of the two.
  struct Row {
    const HeaddAnswer::Entry* headd = nullptr;
    const netlink::Neighbour* kernel = nullptr;

    // headd has said all of it: it is an earlier one, or in another network namespace.
    bool is_whole() const noexcept { return headd != nullptr && !headd->state.empty(); }
    const netlink::Neighbour& of_kernel() const noexcept {
      static constexpr netlink::Neighbour absent;
      return kernel != nullptr ? *kernel : absent;
    }
    std::string_view state() const noexcept;
  };

  void merge(std::vector<HeaddAnswer::Entry>& of_headd, std::vector<netlink::Neighbour>& of_kernel,
             bool all);

  std::shared_ptr<nlohmann::json> rest_;
  const DeviceNames& names_;
  std::size_t read_ = 0;
  std::vector<Row> rows_;
};

}  // namespace headctl
