#define CATCH_CONFIG_RUNNER
#include "head/base/log.hpp"
#include "tests/ownership/heads.hpp"

#include <string_view>

int main(int argc, char* argv[]) {
  // A headd's arguments may follow, which are not for the helper program.
  if (argc >= 3 && std::string_view(argv[1]) == "--relay") return head::ownership::relay(argv[2]);
  head::log::set_level(head::log::Level::error);
  return Catch::Session().run(argc, argv);
}
