// Runs a program as a shell would, and keeps what it said and how it ended.
#pragma once

#include "tests/folder.hpp"

#include <catch2/catch.hpp>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <sys/wait.h>

namespace head::test {

struct Outcome {
  int status = -1;
  std::string out, err;
};

inline Outcome shell(const std::string& command) {
  const Folder folder;
  const std::string err = folder.path / "stderr";
  std::FILE* pipe = ::popen((command + " 2>" + err).c_str(), "r");
  REQUIRE(pipe != nullptr);
  Outcome outcome;
  char piece[4096];
  while (const std::size_t got = std::fread(piece, 1, sizeof piece, pipe))
    outcome.out.append(piece, got);
  const int status = ::pclose(pipe);
  REQUIRE(WIFEXITED(status));
  outcome.status = WEXITSTATUS(status);
  std::ostringstream text;
  text << std::ifstream(err).rdbuf();
  outcome.err = text.str();
  return outcome;
}

}  // namespace head::test
