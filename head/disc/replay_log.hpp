// The acknowledged changes of a disc that no FLUSH has covered yet, in the order in which they were
// acknowledged, so that they can be made again on a tail that has lost them. Memory is taken before
// a change is sent, so that there is room for it when it is acknowledged; what all discs of a
// thread take together is bounded by their ReplayMemory, and what one of them takes by its share.
//
//   stream   ...released | header data | header data | header (a TRIM) | free, or reserved |
//                        begin                                          end
//   chunks        |----------------|----------------|----------------|----------------|
#pragma once

#include "head/disc/pieces.hpp"
#include "head/nbd/request.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

namespace head::disc {

// Chunks for the logs of all discs of one thread. Never more than it was made for, with what it
// takes to replay them; what is not in use is mostly the system's.
class ReplayMemory {
 public:
  static constexpr std::size_t chunk_size = 16 << 10;
  static constexpr std::size_t sweep_size = chunk_size / 8;  // ReplaySweep's, of a chunk, at most.
  struct Chunk {
    alignas(8) std::array<std::byte, chunk_size> bytes;
  };

  explicit ReplayMemory(std::size_t bytes) noexcept
      : chunks_max_(bytes / (chunk_size + sweep_size)) {}

  // Null when there is none left.
  std::unique_ptr<Chunk> take() noexcept { return in_use_ < chunks_max_ ? take_beyond() : nullptr; }
  // For what an earlier headd kept: that had as much memory, divided otherwise among its threads.
  // Null only where the machine has none.
  std::unique_ptr<Chunk> take_beyond() noexcept;
  void give(std::unique_ptr<Chunk> chunk) noexcept;

  std::size_t chunks_in_use() const noexcept { return in_use_; }
  // The most that one disc may have, so that a few cannot take it all.
  std::size_t share() const noexcept { return chunks_max_ / 4; }
  // Whoever has some should flush.
  bool is_scarce() const noexcept { return in_use_ * 4 >= chunks_max_ * 3; }

 private:
  static constexpr std::size_t spare_max = 64;

  const std::size_t chunks_max_;
  std::size_t in_use_ = 0;
  std::vector<std::unique_ptr<Chunk>> spare_;
};

class ReplayLog {
 public:
  // A place in the stream. One change follows another.
  using Place = std::uint64_t;

  struct Change {
    nbd::Command command;
    std::uint16_t flags;
    Range range;
    Place next;
  };

  explicit ReplayLog(ReplayMemory& memory) noexcept : memory_(memory) {}
  ReplayLog(const ReplayLog&) = delete;
  ReplayLog& operator=(const ReplayLog&) = delete;
  ~ReplayLog();

  // Is there room for a change with so many bytes of data, when nothing else is kept?
  bool fits(std::size_t data) const noexcept;
  // Room for one more change. False: there is none now.
  bool reserve(std::size_t data) noexcept;
  void unreserve(std::size_t data) noexcept;
  // A change for which there is room was acknowledged. `memory`: the data, of a write.
  void keep(const nbd::Request& request) noexcept;

  bool empty() const noexcept { return begin_ == end_; }
  // Half of what the disc may have is taken.
  bool is_half_full() const noexcept { return chunks_.size() * 2 >= memory_.share(); }
  std::size_t bytes() const noexcept { return chunks_.size() * ReplayMemory::chunk_size; }
  // Is anything kept that concerns these bytes? Takes as long as the log is.
  bool overlaps(Range range) const noexcept;

  // All that is kept now lies before `end()`; it is dropped with release() once it is stable.
  Place begin() const noexcept { return begin_; }
  Place end() const noexcept { return end_; }
  void release(Place until) noexcept;

  // All that is kept, as bytes for the log of another process of this machine; and those bytes,
  // appended to this one, beyond what the disc and its thread may have if need be. False: it is
  // damaged; then nothing is kept any more, as a part of it, written again, would undo what came
  // after that part.
  std::vector<std::byte> dump() const;
  bool restore(std::span<const std::byte> dumped);

  Change at(Place place) const noexcept;
  // Where the data of the write at `place` is, or of that part of what it is about.
  void data_at(Place place, std::vector<iovec>& parts) const {
    data_at(place, at(place).range, parts);
  }
  void data_at(Place place, Range part, std::vector<iovec>& parts) const;

 private:
  struct Header;
  static std::size_t cost_of(std::size_t data) noexcept;
  template <class Take>
  bool reserve(std::size_t data, Take take) noexcept;
  bool append(std::span<const std::byte> dumped);
  std::byte* byte_at(Place place) const noexcept;
  void give_back_unneeded() noexcept;

  ReplayMemory& memory_;
  std::deque<std::unique_ptr<ReplayMemory::Chunk>> chunks_;
  std::uint64_t first_chunk_ = 0;  // Its number in the stream.
  Place begin_ = 0;
  Place end_ = 0;
  std::size_t reserved_ = 0;  // Bytes behind `end_`.
};

// How much of a log a change takes beside its head.
inline std::size_t data_of(const nbd::Request& request) noexcept {
  return request.command == nbd::Command::write ? request.length : 0;
}

}  // namespace head::disc
