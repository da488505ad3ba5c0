// A list of discs in a file, as JSON, as TOML or as plain lines:
//
//   {"discs": [{"name": "web1", "uri": "nbd://[fd00::1]/web1", "lladdr": "52:54:00:12:34:56"}]}
//
//   [[disc]]
//   name = "web1"
//   uri = "nbd://[fd00::1]/web1"
//
//   web1 nbd://[fd00::1]/web1 lladdr=52:54:00:12:34:56 dev=eth0    # a comment
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

struct ImportList {
  ImportList();

  std::string name;                       // Of the file, for sentences.
  std::shared_ptr<nlohmann::json> discs;  // An array.
  std::vector<std::size_t> lines;         // Where each begins, from 1; 0 where that is not known.
};

// Throws Failure (invalid), naming file and line.
ImportList parse_import(const std::string& file_name, std::string_view text);
ImportList read_import(const std::string& file_name);  // "-": standard input.

// The first disc of a list whose name was there before.
std::optional<std::size_t> repeated_name(const nlohmann::json& discs);
// A list in parts, in its order: each has as many discs, and bytes as JSON, at most; a disc that is
// larger than that is a part by itself. An empty list is one empty part.
std::vector<nlohmann::json> split(nlohmann::json discs, std::size_t discs_max,
                                  std::size_t bytes_max);

}  // namespace headctl
