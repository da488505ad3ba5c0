#include "head/export/validate.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <limits>

using namespace head;
using namespace head::exports;
using nbd::Command;
namespace flag = nbd::transmission_flag;
namespace command_flag = nbd::command_flag;

namespace {

constexpr std::uint64_t disc_size = 1 << 20;
constexpr Terms everything{.flags = 0x0ded, .structured_replies = true, .base_allocation = true};
constexpr Terms nothing{.flags = flag::has_flags};
constexpr Terms read_only{.flags = flag::has_flags | flag::read_only | flag::send_flush};

int verdict(const Terms& terms, Command command, std::uint64_t offset, std::uint32_t length,
            unsigned flags = 0) {
  const nbd::RequestHeader request{.flags = static_cast<std::uint16_t>(flags),
                                   .type = static_cast<std::uint16_t>(command),
                                   .cookie = 1,
                                   .offset = offset,
                                   .length = length};
  const Verdict verdict = validate(request, terms, disc_size);
  CHECK((verdict.error == 0) == (verdict.message == nullptr));
  return verdict.error;
}

}  // namespace

TEST_CASE("A request inside the disc is passed on", "[export]") {
  for (const Command command : {Command::read, Command::write, Command::trim, Command::cache,
                                Command::write_zeroes, Command::block_status}) {
    CAPTURE(static_cast<int>(command));
    CHECK(verdict(everything, command, 0, 1) == 0);
    CHECK(verdict(everything, command, 0, disc_size) == 0);
    CHECK(verdict(everything, command, disc_size - 1, 1) == 0);
    CHECK(verdict(everything, command, 0, 512, command_flag::fua) == 0);
  }
  CHECK(verdict(everything, Command::flush, 0, 0) == 0);
}

TEST_CASE("A request beyond the end is refused, without wrapping around", "[export]") {
  constexpr auto top = std::numeric_limits<std::uint64_t>::max();
  const auto beyond = [](Command command, std::uint64_t offset, std::uint32_t length) {
    return verdict(everything, command, offset, length);
  };
  CHECK(beyond(Command::read, disc_size, 1) == EINVAL);
  CHECK(beyond(Command::read, disc_size - 1, 2) == EINVAL);
  CHECK(beyond(Command::read, top, 1) == EINVAL);
  CHECK(beyond(Command::read, top - 4095, 8192) == EINVAL);
  CHECK(beyond(Command::write, disc_size, 1) == ENOSPC);
  CHECK(beyond(Command::write_zeroes, 0, 0xffffffff) == ENOSPC);
  CHECK(beyond(Command::trim, 0, 0xffffffff) == EINVAL);
  CHECK(beyond(Command::block_status, 1, disc_size) == EINVAL);
}

TEST_CASE("Only what was offered may be asked", "[export]") {
  for (const Command command : {Command::flush, Command::trim, Command::cache,
                                Command::write_zeroes, Command::block_status})
    CHECK(verdict(nothing, command, 0, command == Command::flush ? 0 : 512) == EINVAL);
  CHECK(verdict(nothing, Command::read, 0, 512) == 0);
  CHECK(verdict(nothing, Command::read, 0, 512, command_flag::fua) == EINVAL);
  CHECK(verdict(nothing, Command::read, 0, 512, command_flag::df) == EINVAL);
  CHECK(verdict(everything, Command::read, 0, 512, command_flag::df) == 0);
  CHECK(verdict(everything, Command::write, 0, 512, command_flag::df) == EINVAL);
  CHECK(verdict(everything, Command::write, 0, 512, command_flag::no_hole) == EINVAL);
  CHECK(verdict(everything, Command::write_zeroes, 0, 512,
                command_flag::no_hole | command_flag::fast_zero | command_flag::fua) == 0);
  CHECK(verdict(everything, Command::block_status, 0, 512, command_flag::req_one) == 0);
  CHECK(verdict(everything, Command::read, 0, 512, command_flag::req_one) == EINVAL);
  CHECK(verdict(everything, Command::read, 0, 512, 1 << 5) == EINVAL);
  CHECK(verdict(everything, static_cast<Command>(8), 0, 512) == EINVAL);
  CHECK(verdict(everything, static_cast<Command>(0xffff), 0, 512) == EINVAL);
}

TEST_CASE("A read-only disc is not written, wherever the write would go", "[export]") {
  for (const Command command : {Command::write, Command::trim, Command::write_zeroes}) {
    CHECK(verdict(read_only, command, 0, 512) == EPERM);
    CHECK(verdict(read_only, command, disc_size, 512) == EPERM);
  }
  CHECK(verdict(read_only, Command::read, 0, 512) == 0);
  CHECK(verdict(read_only, Command::flush, 0, 0) == 0);
}

TEST_CASE("Lengths that make no sense are refused", "[export]") {
  CHECK(verdict(everything, Command::flush, 0, 1) == EINVAL);
  CHECK(verdict(everything, Command::flush, 1, 0) == EINVAL);
  for (const Command command : {Command::read, Command::write, Command::trim, Command::cache})
    CHECK(verdict(everything, command, 0, 0) == EINVAL);
  CHECK(verdict(everything, Command::read, 0, payload_maximum + 1) == EOVERFLOW);
  CHECK(verdict(everything, Command::write, 0, 0xffffffff) == EOVERFLOW);
}
