// A directory that is gone when the test ends.
#pragma once

#include <catch2/catch.hpp>

#include <filesystem>
#include <string>
#include <unistd.h>

namespace head::test {

struct Folder {
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "head-test-XXXXXX").native();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string operator/(const std::string& name) const { return path / name; }

  std::filesystem::path path;
};

}  // namespace head::test
