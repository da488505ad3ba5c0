// What an operator says of one disc: its name, where it is, and how it is to be served. A value;
// the catalogue keeps it, the API takes and shows it.
#pragma once

#include "head/base/result.hpp"
#include "head/disc/identity.hpp"
#include "head/disc/standing.hpp"
#include "head/nbd/durability.hpp"
#include "head/nbd/uri.hpp"
#include "netlink/neighbour.hpp"

#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace head::catalogue {

inline constexpr std::size_t name_max = 64;
inline constexpr std::size_t grade_max = 32;
inline constexpr unsigned connections_max = 16;
inline constexpr std::chrono::seconds grace_max = std::chrono::hours(24 * 30);
inline constexpr std::uint64_t generation_max = std::uint64_t{1} << 53;  // As far as JSON counts.

struct DiscSpec {
  std::string name;
  nbd::Uri uri;
  std::optional<netlink::Mac> lladdr{};  // Known beforehand; otherwise the wire is asked.
  std::uint64_t generation = 0;          // Of lladdr: who has a higher one knows better.
  bool lladdr_seen = false;              // The wire said it, against whoever gave another one.
  std::string dev{};                     // The interface; empty: as the route says.
  bool read_only = false;
  std::optional<nbd::Durability> durability{};  // Absent: as head.toml has it.
  std::optional<disc::Identity> identity{};     // The same.
  unsigned connections = 1;                     // 1..connections_max
  std::string grade = "standard";  // What kind of disc it is; metrics are summed up by it.
  std::chrono::seconds grace{};    // Guests wait so long, then get EIO; 0: however long it takes.
  disc::Order order = disc::Order::serve;

  bool operator==(const DiscSpec&) const = default;
};

// A disc's name is also a directory's: [A-Za-z0-9][A-Za-z0-9._-]{0,63}.
bool is_name(std::string_view text) noexcept;

// A grade is a word: [a-z0-9-]{1,32}.
bool is_grade(std::string_view text) noexcept;

// {"name": "web1", "uri": "nbd://[fd00::1]/web1", "lladdr": "52:54:00:12:34:56", "dev": "eth0",
//  "generation": 7, "lladdr_seen": true, "read_only": false, "connections": 1,
//  "grade": "standard", "grace_s": 0, "order": "serve", "durability": "replay",
//  "identity": "first-block"}; what is not set is left out.
nlohmann::json to_json(const DiscSpec& spec);

// Members of a disc that others say too. The error is the end of a sentence that begins with the
// member's name.
Result<netlink::Mac, std::string_view> lladdr_from_json(const nlohmann::json& value);
Result<std::uint64_t, std::string_view> generation_from_json(const nlohmann::json& value);
Result<std::chrono::seconds, std::string_view> grace_from_json(const nlohmann::json& value);
Result<disc::Order, std::string_view> order_from_json(const nlohmann::json& value);

// The error is one sentence that names the member and what it may be. Unknown members are errors:
// they are misspellings, or ask for something that this version would silently not do.
Result<DiscSpec, std::string> spec_from_json(const nlohmann::json& json);

}  // namespace head::catalogue
