// What a tail must show when it comes back: which writes are known to be stable, and how they are
// told.
#include "head/disc/last_writes.hpp"
#include "head/disc/look.hpp"
#include "head/nbd/volume.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cerrno>
#include <memory>
#include <random>
#include <vector>

using namespace head;
using disc::LastWrites;
using nbd::Command;
namespace flag = nbd::transmission_flag;

namespace {

struct Asked final : nbd::Request {
  Asked(Command what, std::uint64_t at, std::uint32_t size, char with = 'a')
      : data(size, static_cast<std::byte>(with)) {
    command = what;
    offset = at;
    length = size;
    memory = {&part, 1};
  }
  void on_done(int) noexcept override {}

  std::vector<std::byte> data;
  iovec part{.iov_base = data.data(), .iov_len = data.size()};
};

struct Flush final : nbd::Request {
  Flush() { command = Command::flush; }
  void on_done(int) noexcept override {}
};

nbd::ExportInfo tail(std::uint16_t flags) {
  return {.size = 1 << 20, .flags = flags};
}

constexpr iouring::Instant now{std::chrono::hours(1)};

// What was asked and answered, well.
void written(LastWrites& last, Asked& write) {
  write.sent = now + std::chrono::seconds(1);
  last.sent(write);
  last.answered(write, 0, 0, now);
}

void flushed(LastWrites& last, int error = 0) {
  Flush flush;
  last.sent(flush);
  last.answered(flush, error, 0, now);
}

std::vector<std::uint64_t> offsets(const LastWrites& last) {
  std::vector<std::uint64_t> all;
  for (const auto& write : last.known()) all.push_back(write.offset);
  return all;
}

// What others leave there means nothing.
[[gnu::noinline]] void leave_on_stack(std::mt19937& dice) {
  volatile std::uint64_t all[1024];
  for (volatile std::uint64_t& one : all) one = dice() % 2;
}

using Offsets = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("A write is known once a FLUSH that was sent after its answer is answered", "[disc]") {
  LastWrites last;
  last.learn(tail(flag::send_flush | flag::send_fua));
  Asked first(Command::write, 0, 512), second(Command::write, 512, 512);
  written(last, first);
  CHECK(last.known().empty());
  Flush flush;
  last.sent(flush);
  written(last, second);
  last.answered(flush, 0, 0, now);
  CHECK(offsets(last) == Offsets{0});
  flushed(last);
  CHECK(offsets(last) == Offsets{0, 512});
}

TEST_CASE("A write with FUA, or before a tail that keeps nothing volatile, is known at once",
          "[disc]") {
  LastWrites last;
  last.learn(tail(flag::send_flush | flag::send_fua));
  Asked stable(Command::write, 4096, 512);
  stable.flags = nbd::command_flag::fua;
  written(last, stable);
  CHECK(offsets(last) == Offsets{4096});

  LastWrites plain;
  plain.learn(tail(0));
  Asked write(Command::write, 512, 512);
  written(plain, write);
  CHECK(offsets(plain) == Offsets{512});
}

TEST_CASE("What something later is sent over is not known any more, answered or not", "[disc]") {
  const Command over = GENERATE(Command::write, Command::write_zeroes, Command::trim);
  LastWrites last;
  last.learn(tail(0));
  Asked first(Command::write, 0, 1024), second(Command::write, 4096, 512);
  written(last, first);
  written(last, second);
  Asked change(over, 512, 8);
  last.sent(change);
  CHECK(offsets(last) == Offsets{4096});
  last.answered(change, EIO, 0, now);
  CHECK(offsets(last) == Offsets{4096});
}

TEST_CASE("What a failed FLUSH was to make stable is forgotten, also by those under way",
          "[disc]") {
  LastWrites last;
  last.learn(tail(flag::send_flush));
  Asked write(Command::write, 0, 512);
  written(last, write);
  Flush under_way;
  last.sent(under_way);
  flushed(last, EIO);
  last.answered(under_way, 0, 0, now);
  CHECK(last.known().empty());
  flushed(last);
  CHECK(last.known().empty());
}

TEST_CASE("What was under way when a FLUSH failed is not made stable by the next one", "[disc]") {
  LastWrites last;
  last.learn(tail(flag::send_flush));
  Asked write(Command::write, 0, 512);
  write.sent = now;
  last.sent(write);
  flushed(last, EIO);
  last.answered(write, 0, 0, now + std::chrono::seconds(1));
  flushed(last);
  CHECK(last.known().empty());
}

TEST_CASE("What was not stable when a connection is lost may be gone, and is not asked for",
          "[disc]") {
  LastWrites last;
  last.learn(tail(flag::send_flush));
  Asked stable(Command::write, 0, 512), write(Command::write, 512, 512);
  written(last, stable);
  flushed(last);
  written(last, write);
  last.forget_unstable();
  flushed(last);
  CHECK(offsets(last) == Offsets{0});
}

TEST_CASE("A FLUSH that is lost makes nothing stable when its request is asked again", "[disc]") {
  LastWrites last;
  last.learn(tail(flag::send_flush));
  Asked write(Command::write, 0, 512);
  Flush flush;
  last.sent(flush);
  last.lost(flush);
  written(last, write);
  last.answered(flush, 0, 0, now);  // Of nobody that we know.
  CHECK(last.known().empty());
}

TEST_CASE("The newest are known, and of each its beginning", "[disc]") {
  LastWrites last;
  last.learn(tail(0));
  std::vector<std::unique_ptr<Asked>> writes;
  for (std::uint64_t i = 0; i < 20; ++i) {
    writes.push_back(std::make_unique<Asked>(Command::write, i * 65536, 65536));
    written(last, *writes.back());
  }
  CHECK(last.newest().size() == LastWrites::newest_most);
  CHECK(last.newest().back().offset == 19 * 65536);
  CHECK(last.newest().back().length == LastWrites::bytes_most);
}

TEST_CASE("What nobody writes over lasts, however much is written beside it", "[disc]") {
  LastWrites last;
  last.learn(tail(flag::send_fua | flag::send_flush));
  std::vector<std::unique_ptr<Asked>> writes;
  const auto write = [&](std::uint64_t offset) {
    writes.push_back(std::make_unique<Asked>(Command::write, offset, 512));
    writes.back()->flags = nbd::command_flag::fua;
    written(last, *writes.back());
  };
  write(4096);  // Once.
  for (int i = 0; i < 100; ++i) write(65536 + i % 8 * 512);
  CHECK(last.known().size() == 9);
  CHECK(last.known().front().offset == 4096);
  CHECK(last.newest().size() == 8);
  for (std::uint64_t i = 0; i < 100; ++i) write(1 << 17 | i * 512);
  CHECK(last.known().size() == LastWrites::newest_most + LastWrites::lasting_most);

  SECTION("a FLUSH that fails takes it as well: it may have been stable for a moment only") {
    flushed(last, EIO);
    CHECK(last.known().empty());
  }
  SECTION("it is no proof where newer ones are known") {
    CHECK_FALSE(last.is_proof(last.known().front()));
    CHECK(last.is_proof(last.known().back()));
    const LastWrites::Write old = last.known().front();
    Asked over(Command::trim, 1 << 17, 100 * 512);
    last.sent(over);
    CHECK(last.newest().empty());
    CHECK(last.is_proof(old));
  }
  SECTION("whoever writes over it ends that") {
    const LastWrites::Write old = last.known().front();
    CHECK(last.still_knows(old));
    Asked over(Command::trim, 4096, 512);
    last.sent(over);
    CHECK_FALSE(last.still_knows(old));
  }
  SECTION("it is handed over, and lasts there") {
    LastWrites next;
    next.inherit(last.to_hand_over());
    CHECK(next.known() == last.known());
    CHECK(next.newest() == last.newest());
    // Fewer newest ones go alone: old ones would be taken for the newest.
    Asked over(Command::trim, (1 << 17 | 95 * 512), 512);
    last.sent(over);
    LastWrites later;
    later.inherit(last.to_hand_over());
    CHECK(later.known() == last.newest());
  }
  SECTION("an operator who accepts what there is ends it") {
    last.forget();
    CHECK(last.known().empty());
  }
}

TEST_CASE("A tail with larger blocks is asked for whole ones", "[disc]") {
  LastWrites last;
  auto info = tail(0);
  info.block_minimum = 65536;
  last.learn(info);
  Asked write(Command::write, 65536, 131072);
  written(last, write);
  CHECK(last.known().back().length == 65536);
}

TEST_CASE("What is read back is what was written, or is not", "[disc]") {
  LastWrites last;
  last.learn(tail(0));
  Asked write(Command::write, 0, 8192, 'x');
  written(last, write);
  const LastWrites::Write known = last.known().back();
  std::vector<std::byte> found(known.length, static_cast<std::byte>('x'));
  CHECK(disc::is_there(known, found));
  found[4095] = std::byte{0};
  CHECK_FALSE(disc::is_there(known, found));
  CHECK(last.still_knows(known));
  last.forget();
  CHECK_FALSE(last.still_knows(known));
}

TEST_CASE("A checksum is of the bytes, however they lie in memory", "[disc]") {
  std::mt19937 dice(7);
  std::vector<std::byte> bytes(4096);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(dice());
  const LastWrites::Write write{.offset = 0, .length = 4096, .content = [&] {
                                  Asked whole(Command::write, 0, 4096);
                                  whole.data = bytes;
                                  whole.part.iov_base = whole.data.data();
                                  return disc::content_of(whole);
                                }()};
  for (int i = 0; i < 200; ++i) {
    const std::size_t cut = 1 + dice() % 4095;
    Asked scattered(Command::write, 0, 4096);
    const std::array<iovec, 2> parts{{{bytes.data(), cut}, {bytes.data() + cut, 4096 - cut}}};
    scattered.memory = parts;
    CAPTURE(cut);
    leave_on_stack(dice);
    const std::uint64_t content = disc::content_of(scattered);
    REQUIRE(content == write.content);
  }
  CHECK(disc::is_there(write, bytes));
}

TEST_CASE("A proof asks one question after another, the first block first", "[disc]") {
  disc::Proof proof(iouring::Instant{});
  disc::FirstBlock block;
  block.learn(tail(0));
  proof.add({.offset = 512, .length = 512, .content = 1});
  proof.add(block);
  REQUIRE(proof.ask_next());
  CHECK(proof.of_first_block());
  CHECK(proof.length == 4096);
  REQUIRE(proof.ask_next());
  CHECK_FALSE(proof.of_first_block());
  CHECK(proof.offset == 512);
  CHECK(proof.found().size() == 512);
  CHECK_FALSE(proof.ask_next());
}
