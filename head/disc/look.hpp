// What a disc asks for itself to know its tail by: reads whose answers nobody else sees.
#pragma once

#include "head/disc/first_block.hpp"
#include "head/disc/last_writes.hpp"
#include "head/nbd/request.hpp"
#include "iouring/timer.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace head::disc {

// At the first block, to learn what it is.
struct Look final : nbd::Request {
  Look(iouring::Instant now, const FirstBlock& of) : version(of.version()), block(of.length()) {
    arrived = now;
  }
  void on_done(int) noexcept override {}  // The disc is asked first.
  void read() noexcept;

  std::uint64_t version;
  std::vector<std::byte> block;
  iovec part{};
};

// What a new connection is asked before anything else: is it the disc that it was? One read after
// another.
class Proof final : public nbd::Request {
 public:
  explicit Proof(iouring::Instant now) noexcept { arrived = now; }
  void on_done(int) noexcept override {}  // The disc is asked first.

  void add(const FirstBlock& block) {
    questions_.push_back({.write = {.offset = 0, .length = block.length()}, .first_block = true});
    version_ = block.version();
  }
  void add(const LastWrites::Write& write) { questions_.push_back({.write = write}); }

  // Becomes the next read. False: there is none (left).
  bool ask_next();

  // Of the read that was answered:
  bool of_first_block() const noexcept { return asked_.first_block; }
  std::uint64_t version() const noexcept { return version_; }               // Of the first block.
  const LastWrites::Write& write() const noexcept { return asked_.write; }  // Else.
  std::span<const std::byte> found() const noexcept { return bytes_; }

  bool matched = false;  // One of them was what it must be.

 private:
  struct Question {
    LastWrites::Write write;
    bool first_block = false;
  };

  std::vector<Question> questions_;  // Still to be asked, the last one first.
  Question asked_{};
  std::uint64_t version_ = 0;
  std::vector<std::byte> bytes_;
  iovec part_{};
};

}  // namespace head::disc
