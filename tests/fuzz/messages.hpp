// Mutations of NBD at the level of messages, for fuzz targets whose input is a first byte that says
// how the target runs, and then a stream. Most of what libFuzzer alone makes of a stream dies of a
// wrong magic number or cookie; this leaves most messages whole and changes which there are.
#pragma once

#include "head/nbd/wire.hpp"
#include "tests/sim/script_tail.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <utility>
#include <vector>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace fuzz {

using sim::Bytes;
using sim::operator<<;
namespace wire = head::nbd::wire;

// What a target's stream consists of.
struct Language {
  // The length of the message that begins here, which may be more than there is; 0: none does.
  std::size_t (*length)(std::span<const std::byte> rest);
  // A message as it might be said.
  Bytes (*make)(std::mt19937_64& random);
};

template <class... T>
auto one_of(std::mt19937_64& random, T... all) {
  const std::array values{all...};
  return values[random() % values.size()];
}

// What begins with no message goes with the one before.
inline std::vector<Bytes> split(std::span<const std::byte> stream, const Language& language) {
  std::vector<Bytes> messages;
  while (!stream.empty()) {
    std::size_t size = std::min(std::max<std::size_t>(language.length(stream), 1), stream.size());
    while (size < stream.size() && language.length(stream.subspan(size)) == 0) ++size;
    messages.emplace_back(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(size));
    stream = stream.subspan(size);
  }
  return messages;
}

// Few bytes behind the magic number of a message change, or all behind its header.
inline void alter(Bytes& message, std::mt19937_64& random) {
  if (message.size() <= 4) return;
  const std::size_t from = one_of(random, std::size_t{4}, 4 + random() % (message.size() - 4));
  const std::size_t size = std::min<std::size_t>(message.size() - from, 64);
  LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(message.data() + from), size, size);
}

inline void mutate(std::vector<Bytes>& messages, const Language& language,
                   std::mt19937_64& random) {
  const auto at = [&random](std::size_t below) {
    return static_cast<std::ptrdiff_t>(random() % below);
  };
  const auto dice = messages.empty() ? 0 : random() % 8;
  if (dice < 3) {
    messages.insert(messages.begin() + at(messages.size() + 1), language.make(random));
    return;
  }
  const auto one = messages.begin() + at(messages.size());
  if (dice == 3) {
    messages.erase(one);
  } else if (dice == 4) {
    Bytes again = *one;
    messages.insert(messages.begin() + at(messages.size() + 1), std::move(again));
  } else if (dice == 5) {
    std::swap(*one, messages[static_cast<std::size_t>(at(messages.size()))]);
  } else if (dice == 6) {
    *one = language.make(random);
  } else {
    alter(*one, random);
  }
}

// For LLVMFuzzerCustomMutator.
inline std::size_t mutate(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed,
                          const Language& language) {
  std::mt19937_64 random(seed);
  if (size < 1 || random() % 4 == 0) return LLVMFuzzerMutate(data, size, max_size);
  if (random() % 16 == 0) data[0] = static_cast<std::uint8_t>(random());
  auto messages = split(std::as_bytes(std::span(data, size)).subspan(1), language);
  for (auto times = 1 + random() % 3; times != 0; --times) mutate(messages, language, random);
  std::size_t used = 1;
  for (const Bytes& message : messages) {
    if (used + message.size() > max_size) break;
    std::memcpy(data + used, message.data(), message.size());
    used += message.size();
  }
  return used;
}

}  // namespace fuzz
