// What a report is made of, as values: files with names, and what each is. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace headctl {

struct Member {
  std::string name;  // Within the archive.
  std::string what;  // In words.
  std::string text;
};

// A line for each, with its size; the whole size last.
std::string listing(const std::vector<Member>& members);
nlohmann::json listing_json(const std::vector<Member>& members);

// What is asked of headd, in this order: a path of its API for each member.
struct Asked {
  const char* name;
  const char* what;
  const char* path;
};
extern const std::vector<Asked> asked_of_headd;
// And of the kernel: files of /proc and the like.
extern const std::vector<Asked> asked_of_kernel;

}  // namespace headctl
