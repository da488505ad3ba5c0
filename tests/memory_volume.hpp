// A volume in memory, for whoever serves one: it answers when told to, in any order, and complains
// about requests that break a volume's contract.
#pragma once

#include "head/nbd/volume.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace tests {

class MemoryVolume : public head::nbd::Volume {
 public:
  static constexpr std::uint16_t all_flags = 0x0fff & ~(head::nbd::transmission_flag::read_only |
                                                        head::nbd::transmission_flag::rotational |
                                                        head::nbd::transmission_flag::send_resize);

  explicit MemoryVolume(std::size_t size, std::uint16_t flags = all_flags) : data(size) {
    described.size = size;
    described.flags = flags;
    described.base_allocation = true;
  }

  void become_known() {
    known = true;
    tell_watcher();
  }

  const head::nbd::ExportInfo* info() const noexcept override {
    return known ? &described : nullptr;
  }
  void submit(head::nbd::Request& request) noexcept override {
    check(request);
    waiting.push_back(&request);
  }

  // Has begun what `begun` says it has.
  bool withdraw(head::nbd::Request& request) noexcept override {
    const auto found = std::find(waiting.begin(), waiting.end(), &request);
    if (found == waiting.end()) complaints.push_back("what was withdrawn had not been asked");
    if (found == waiting.end() || begun) return false;
    waiting.erase(found);
    return true;
  }

  // Performs and answers one of the waiting requests.
  void answer(std::size_t which, int error = 0) {
    head::nbd::Request& request = *waiting[which];
    waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(which));
    ++answered;
    if (error == 0) perform(request);
    request.on_done(error);
  }

  head::nbd::ExportInfo described;
  bool known = true;
  bool begun = true;  // All that waits.
  std::vector<std::byte> data;
  std::vector<head::nbd::Request*> waiting;
  std::size_t answered = 0;
  std::vector<std::string> complaints;

 private:
  using Command = head::nbd::Command;

  static bool carries(const head::nbd::Request& request) {
    return request.command == Command::read || request.command == Command::write;
  }

  void check(const head::nbd::Request& request) {
    std::size_t memory = 0;
    for (const iovec& part : request.memory) memory += part.iov_len;
    if (!known) complaints.push_back("a request before the volume was known");
    if (request.length > described.size || request.offset > described.size - request.length)
      complaints.push_back("a request beyond the end");
    if (carries(request) && (memory != request.length || request.length == 0))
      complaints.push_back("memory that does not fit the request");
    if (request.command == Command::block_status && request.extents.empty())
      complaints.push_back("no room for extents");
    if (described.has(head::nbd::transmission_flag::read_only) &&
        (request.command == Command::write || request.command == Command::trim ||
         request.command == Command::write_zeroes))
      complaints.push_back("a write to a read-only volume");
  }

  void perform(head::nbd::Request& request) {
    std::byte* place = data.data() + request.offset;
    if (carries(request)) {
      for (const iovec& part : request.memory) {
        const bool reads = request.command == Command::read;
        std::memcpy(reads ? part.iov_base : place, reads ? place : part.iov_base, part.iov_len);
        place += part.iov_len;
      }
    } else if (request.command == Command::write_zeroes || request.command == Command::trim) {
      std::memset(place, 0, request.length);
    } else if (request.command == Command::block_status) {
      describe(request);
    }
  }

  // One extent for every run of zeroes or of something else, by blocks of 4 KiB.
  void describe(head::nbd::Request& request) {
    constexpr std::uint64_t block = 4096;
    std::uint64_t at = request.offset;
    const std::uint64_t end = request.offset + request.length;
    request.extents_filled = 0;
    while (at < end && request.extents_filled < request.extents.size()) {
      const bool zero = is_zero(at, std::min(end, at / block * block + block));
      const std::uint64_t start = at;
      while (at < end && is_zero(at, std::min(end, at / block * block + block)) == zero)
        at = std::min(end, at / block * block + block);
      request.extents[request.extents_filled++] = {static_cast<std::uint32_t>(at - start),
                                                   zero ? 3u : 0u};
    }
  }

  bool is_zero(std::uint64_t from, std::uint64_t to) const {
    return std::all_of(data.begin() + static_cast<std::ptrdiff_t>(from),
                       data.begin() + static_cast<std::ptrdiff_t>(to),
                       [](std::byte byte) { return byte == std::byte{0}; });
  }
};

}  // namespace tests
