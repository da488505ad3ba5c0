#include "tools/headctl/output.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <unistd.h>

namespace headctl {

void print(const nlohmann::json& json) {
  print(json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void note(const std::string& sentence) {
  std::fprintf(stderr, "headctl: %s\n", sentence.c_str());
}

bool on_terminal() {
  return ::isatty(STDERR_FILENO) == 1;
}

}  // namespace headctl
