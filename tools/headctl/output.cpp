#include "tools/headctl/output.hpp"

#include <nlohmann/json.hpp>

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace headctl {

namespace {

Style style_of(int fd) {
  Style style;
  winsize size{};
  if (::isatty(fd) != 1) return style;
  const char* const term = std::getenv("TERM");
  const char* const no_color = std::getenv("NO_COLOR");
  const bool dumb = term == nullptr || std::strcmp(term, "dumb") == 0;
  style.colour = !dumb && (no_color == nullptr || *no_color == '\0');
  std::setlocale(LC_CTYPE, "");
  style.unicode = std::strcmp(::nl_langinfo(CODESET), "UTF-8") == 0;
  if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col != 0) style.columns = size.ws_col;
  return style;
}

}  // namespace

void print(const nlohmann::json& json) {
  print(json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void show(const Table& table) {
  print(table.text(out_style()));
}

void show(const std::string& text) {
  print(spelled(text, out_style()));
}

void note(const std::string& sentence) {
  std::fprintf(stderr, "headctl: %s\n", sentence.c_str());
}

bool on_terminal() {
  return ::isatty(STDERR_FILENO) == 1;
}

void progress(const std::string& line, bool last) {
  if (!on_terminal()) return;
  std::fprintf(stderr, "\r%s%s\033[K%s", line.c_str(), line.empty() ? "" : " ", last ? "\n" : "");
  std::fflush(stderr);
}

const Style& out_style() {
  static const Style style = style_of(STDOUT_FILENO);
  return style;
}

const Style& err_style() {
  static const Style style = style_of(STDERR_FILENO);
  return style;
}

}  // namespace headctl
