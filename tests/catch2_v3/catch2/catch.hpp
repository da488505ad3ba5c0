// Catch2 3 under the name that Catch2 2 had, main() included: what tests/CMakeLists.txt puts first
// on the include path where Debian ships version 3.
#pragma once

#include <catch2/catch_all.hpp>

using Catch::Approx;

#ifdef CATCH_CONFIG_MAIN
int main(int argc, char* argv[]) {
  return Catch::Session().run(argc, argv);
}
#endif
