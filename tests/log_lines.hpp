// What is written to standard error while it lives: the lines of the log.
#pragma once

#include <catch2/catch.hpp>

#include <cstdio>
#include <string>
#include <unistd.h>

namespace tests {

class LogLines {
 public:
  LogLines() {
    REQUIRE(file_ != nullptr);
    std::fflush(stderr);
    kept_ = ::dup(STDERR_FILENO);
    REQUIRE(::dup2(::fileno(file_), STDERR_FILENO) == STDERR_FILENO);
  }
  ~LogLines() {
    std::fflush(stderr);
    ::dup2(kept_, STDERR_FILENO);
    ::close(kept_);
    std::fclose(file_);
  }
  LogLines(const LogLines&) = delete;
  LogLines& operator=(const LogLines&) = delete;

  std::size_t count(const std::string& part) const {
    std::fflush(stderr);
    std::string text(1 << 16, '\0');
    const ssize_t size = ::pread(::fileno(file_), text.data(), text.size(), 0);
    text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    std::size_t found = 0;
    for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++found;
    return found;
  }

 private:
  std::FILE* file_ = std::tmpfile();
  int kept_ = -1;
};

}  // namespace tests
