#include "head/disc/replay_log.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>
#include <utility>

namespace head::disc {

struct ReplayLog::Header {
  std::uint64_t offset;
  std::uint32_t length;
  std::uint16_t command;
  std::uint16_t flags;
};

namespace {

constexpr std::size_t chunk_size = ReplayMemory::chunk_size;
constexpr std::size_t header_size = 16;
// Whatever is kept takes a multiple of it, so that many small changes do not make much work, nor
// much memory beside the log when it is replayed.
constexpr std::size_t slot_size = 64;

constexpr std::uint64_t aligned(std::uint64_t size) noexcept {
  return (size + slot_size - 1) / slot_size * slot_size;
}
static_assert(chunk_size / slot_size * sizeof(ReplayLog::Place) == ReplayMemory::sweep_size);
static_assert(chunk_size % slot_size == 0);  // So a header lies in one chunk.

}  // namespace

std::unique_ptr<ReplayMemory::Chunk> ReplayMemory::take_beyond() noexcept {
  std::unique_ptr<Chunk> chunk;
  if (spare_.empty()) {
    chunk.reset(new (std::nothrow) Chunk);
    if (chunk == nullptr) return nullptr;
  } else {
    chunk = std::move(spare_.back());
    spare_.pop_back();
  }
  ++in_use_;
  return chunk;
}

void ReplayMemory::give(std::unique_ptr<Chunk> chunk) noexcept {
  --in_use_;
  if (spare_.size() < std::max(spare_max, in_use_)) spare_.push_back(std::move(chunk));
  if (spare_.size() > spare_max && spare_.size() > in_use_) spare_.pop_back();
}

ReplayLog::~ReplayLog() {
  for (auto& chunk : chunks_) memory_.give(std::move(chunk));
}

// What it may take, however it comes to lie.
std::size_t ReplayLog::cost_of(std::size_t data) noexcept {
  return aligned(header_size + data);
}

bool ReplayLog::fits(std::size_t data) const noexcept {
  return cost_of(data) + chunk_size <= memory_.share() * chunk_size;
}

bool ReplayLog::reserve(std::size_t data) noexcept {
  return reserve(data,
                 [this] { return chunks_.size() < memory_.share() ? memory_.take() : nullptr; });
}

template <class Take>
bool ReplayLog::reserve(std::size_t data, Take take) noexcept {
  const Place needed = end_ + reserved_ + cost_of(data);
  while ((first_chunk_ + chunks_.size()) * chunk_size < needed) {
    auto chunk = take();
    if (chunk == nullptr) {
      give_back_unneeded();
      return false;
    }
    chunks_.push_back(std::move(chunk));
  }
  reserved_ += cost_of(data);
  return true;
}

void ReplayLog::unreserve(std::size_t data) noexcept {
  assert(reserved_ >= cost_of(data));
  reserved_ -= cost_of(data);
  give_back_unneeded();
}

void ReplayLog::keep(const nbd::Request& request) noexcept {
  const Header header = {.offset = request.offset,
                         .length = request.length,
                         .command = static_cast<std::uint16_t>(request.command),
                         .flags = request.flags};
  static_assert(sizeof header == header_size);
  std::memcpy(byte_at(end_), &header, sizeof header);
  Place at = end_ + header_size;
  std::size_t left = data_of(request);
  for (const iovec& part : request.memory) {
    const auto* from = static_cast<const std::byte*>(part.iov_base);
    for (std::size_t rest = std::min(part.iov_len, left); rest != 0;) {
      const std::size_t size = std::min(rest, chunk_size - at % chunk_size);
      std::memcpy(byte_at(at), from, size);
      at += size;
      from += size;
      rest -= size;
      left -= size;
    }
  }
  assert(left == 0);
  reserved_ -= cost_of(data_of(request));
  end_ += cost_of(data_of(request));
}

std::vector<std::byte> ReplayLog::dump() const {
  std::vector<std::byte> all;
  std::vector<iovec> parts;
  for (Place place = begin_; place != end_; place = at(place).next) {
    all.insert(all.end(), byte_at(place), byte_at(place) + header_size);
    data_at(place, parts);
    for (const iovec& part : parts) {
      const auto* from = static_cast<const std::byte*>(part.iov_base);
      all.insert(all.end(), from, from + part.iov_len);
    }
  }
  return all;
}

bool ReplayLog::append(std::span<const std::byte> dumped) {
  struct Kept final : nbd::Request {
    void on_done(int) noexcept override {}
  };
  while (!dumped.empty()) {
    Header header{};
    if (dumped.size() < sizeof header) return false;
    std::memcpy(&header, dumped.data(), sizeof header);
    Kept kept;
    kept.command = static_cast<nbd::Command>(header.command);
    kept.flags = header.flags;
    kept.offset = header.offset;
    kept.length = header.length;
    dumped = dumped.subspan(sizeof header);
    const std::size_t data = data_of(kept);
    if (!changes(kept.command) || data > dumped.size()) return false;
    if (kept.length > UINT64_MAX - kept.offset) return false;
    if (!reserve(data, [this] { return memory_.take_beyond(); })) return false;
    const iovec part{.iov_base = const_cast<std::byte*>(dumped.data()), .iov_len = data};
    kept.memory = {&part, 1};
    keep(kept);
    dumped = dumped.subspan(data);
  }
  return true;
}

bool ReplayLog::restore(std::span<const std::byte> dumped) {
  if (append(dumped)) return true;
  release(end_);
  return false;
}

bool ReplayLog::overlaps(Range range) const noexcept {
  for (Place place = begin_; place != end_;) {
    const Change change = at(place);
    if (change.range.overlaps(range)) return true;
    place = change.next;
  }
  return false;
}

void ReplayLog::release(Place until) noexcept {
  begin_ = std::max(begin_, until);
  for (; !chunks_.empty() && (first_chunk_ + 1) * chunk_size <= begin_; ++first_chunk_) {
    memory_.give(std::move(chunks_.front()));
    chunks_.pop_front();
  }
  give_back_unneeded();
}

// A log that is empty has no memory at all.
void ReplayLog::give_back_unneeded() noexcept {
  const bool none = empty() && reserved_ == 0;
  const Place last = none ? begin_ / chunk_size * chunk_size : end_ + reserved_;
  while (!chunks_.empty() && (first_chunk_ + chunks_.size() - 1) * chunk_size >= last) {
    memory_.give(std::move(chunks_.back()));
    chunks_.pop_back();
  }
  if (!none || !chunks_.empty()) return;
  // Behind every place that anybody may still name.
  first_chunk_ = (end_ + chunk_size - 1) / chunk_size;
  begin_ = end_ = first_chunk_ * chunk_size;
}

std::byte* ReplayLog::byte_at(Place place) const noexcept {
  return chunks_[place / chunk_size - first_chunk_]->bytes.data() + place % chunk_size;
}

ReplayLog::Change ReplayLog::at(Place place) const noexcept {
  Header header;
  std::memcpy(&header, byte_at(place), sizeof header);
  const auto command = static_cast<nbd::Command>(header.command);
  const std::size_t data = command == nbd::Command::write ? header.length : 0;
  return {.command = command,
          .flags = header.flags,
          .range = {.offset = header.offset, .length = header.length},
          .next = place + cost_of(data)};
}

void ReplayLog::data_at(Place place, Range part, std::vector<iovec>& parts) const {
  parts.clear();
  const Change change = at(place);
  if (change.command != nbd::Command::write) return;
  std::uint64_t left = part.length;
  for (Place from = place + header_size + part.offset - change.range.offset; left != 0;) {
    const std::uint64_t size = std::min(left, chunk_size - from % chunk_size);
    parts.push_back({.iov_base = byte_at(from), .iov_len = size});
    from += size;
    left -= size;
  }
}

}  // namespace head::disc
