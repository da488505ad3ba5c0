// A list of discs, or of moves of discs, in a file, as JSON, as TOML or as plain lines:
//
//   {"discs": [{"name": "web1", "uri": "nbd://[fd00::1]/web1", "lladdr": "52:54:00:12:34:56"}]}
//
//   [[disc]]
//   name = "web1"
//   uri = "nbd://[fd00::1]/web1"
//
//   web1 nbd://[fd00::1]/web1 lladdr=52:54:00:12:34:56 dev=eth0    # a comment
//
// Moves have other members and are called so: {"moves": [...]}, [[move]], `web1 to=tail2` or
// `web1 lladdr=52:54:00:12:34:57 generation=8`.
//
// Which one it is, the file's ending says (.json, .toml), or else its beginning. Only the form is
// looked at here; whether the discs are right is for headd to say.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace headctl {

// What is listed, and what a line of it is.
struct ListKind {
  const char* one;   // "disc"
  const char* many;  // "discs"
  const char* line;  // "NAME URI ..."
  bool has_uri;
};
inline constexpr ListKind disc_list{"disc", "discs",
                                    "NAME URI [lladdr=MAC] [generation=N] [dev=INTERFACE]", true};
inline constexpr ListKind move_list{"move", "moves", "NAME lladdr=MAC|to=TAIL [generation=N]",
                                    false};

struct ImportList {
  ImportList();

  std::string name;                       // Of the file, for sentences.
  std::shared_ptr<nlohmann::json> discs;  // An array, of discs or moves.
  std::vector<std::size_t> lines;         // Where each begins, from 1; 0 where that is not known.
};

// Throws Failure (invalid), naming file and line.
ImportList parse_import(const std::string& file_name, std::string_view text,
                        const ListKind& kind = disc_list);
// "-": standard input.
ImportList read_import(const std::string& file_name, const ListKind& kind = disc_list);

// The first disc of a list whose name was there before.
std::optional<std::size_t> repeated_name(const nlohmann::json& discs);
// A list in parts, in its order: each has as many discs, and bytes as JSON, at most; a disc that is
// larger than that is a part by itself. An empty list is one empty part.
std::vector<nlohmann::json> split(nlohmann::json discs, std::size_t discs_max,
                                  std::size_t bytes_max);

}  // namespace headctl
