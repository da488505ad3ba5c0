#include "head/control/memory_account.hpp"

#include "head/disc/patience.hpp"
#include "head/export/payload_pool.hpp"
#include "head/stats/memory.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace head::control {

namespace {

using exports::PayloadPool;

constexpr std::uint64_t kib = 1024, mib = 1024 * kib;

// What was seen to be taken, rounded up; tests/e2e/memory.sh holds it to be enough.
constexpr std::uint64_t program = 24 * mib;      // Code, threads' stacks, the log, the allocator.
constexpr std::uint64_t api_working = 40 * mib;  // One long list, as text and as values.
constexpr std::uint64_t disc = 9 * kib;          // All of its objects, and the keeper's.
constexpr std::uint64_t connection = 10 * kib + kib / 2;  // With its handshake.
constexpr std::uint64_t guest = 5 * kib;                  // Its session; not what it says.
// Receive buffers (64 of 64 KiB), the stall log, long options of handshakes, spare connections.
constexpr std::uint64_t data_thread =
    5 * mib + PayloadPool::options_max + disc::Patience::spare_links_max * connection;
constexpr std::uint64_t far_read = 64 * kib;

// The kernel's. A socket's own structures, its file and its dentry; a neighbour entry.
constexpr std::uint64_t socket_itself = 4 * kib;
constexpr std::uint64_t neighbour_entry = 512;
// Twice what export.cpp asks for: socket(7). A guest that takes no answers fills it.
constexpr std::uint64_t guest_buffer = 512 * kib;
constexpr std::uint64_t api_sockets = 180, api_buffer = 416 * kib;  // Served, and in the backlogs.
constexpr std::uint64_t netlink_buffers = 176 * mib;  // The monitor's 128, and those of requests.
constexpr std::uint64_t ring = 1 * mib;  // Submissions, completions, the table of descriptors.
// A connection's bytes lie in segments, of which the worst hold a quarter of what they take.
constexpr std::uint64_t segment_overhead = 4;
constexpr std::uint64_t tcp_least = 16 * kib;  // Whatever else, a socket has a segment each way.

std::uint64_t payload_bytes(const Config& config) {
  const std::uint64_t share = config.data.memory_mib * mib / data_threads(config);
  return std::max<std::uint64_t>(share, PayloadPool::smallest);
}

// Of all connections to tails. Whatever is sent to a tail, or asked of one, has its place in the
// payloads or the replay memory until it is answered, so that the sockets never hold more together
// than that; nor does one hold more than the kernel lets it.
std::uint64_t tail_buffers(const Config& config, const SocketCeilings& sockets,
                           std::uint64_t connections) {
  const std::uint64_t outstanding =
      payload_bytes(config) * data_threads(config) + config.discs.replay_memory_mib * mib;
  return std::min(connections * (sockets.tcp_send + sockets.tcp_receive),
                  segment_overhead * outstanding + connections * tcp_least);
}

std::string in_words(const MemoryPart& part) {
  if (part.count == 1) return fmt::format("{} {}", mebibytes(part.bytes()), part.name);
  return fmt::format("{} {} of {}", part.count, part.name, mebibytes(part.each));
}

std::string_view key_of(MemoryOf of) noexcept {
  return of == MemoryOf::headd ? "memory.ceiling_mib" : "memory.kernel_ceiling_mib";
}

std::string objection_to(const MemoryAccount& account, MemoryOf of) {
  std::string fixed, growing;
  for (const MemoryPart& part : account.parts) {
    if (part.of != of || part.bytes() == 0) continue;
    std::string& into = part.grows ? growing : fixed;
    into += (into.empty() ? "" : " + ") + in_words(part);
  }
  const std::uint64_t total = account.total(of);
  const bool hopeless = account.fixed(of) > account.ceiling_of(of);
  return fmt::format(
      "{} would take up to {}, more than the {} that {} allows: {}{}{}; raise it to {}, or lower "
      "{}{}",
      of == MemoryOf::headd ? "headd" : "the kernel", mebibytes(total),
      mebibytes(account.ceiling_of(of)), key_of(of), fixed, growing.empty() ? "" : " + ", growing,
      (total + mib - 1) / mib,
      of == MemoryOf::headd ? "data.memory_mib, discs.replay_memory_mib or data.guests_max"
                            : "data.guests_max",
      hopeless ? "" : ", or detach some discs");
}

}  // namespace

std::string mebibytes(std::uint64_t bytes) {
  if (bytes < kib) return fmt::format("{} bytes", bytes);
  const bool small = bytes < mib;
  const double value = static_cast<double>(bytes) / static_cast<double>(small ? kib : mib);
  const bool whole = bytes % (small ? kib : mib) == 0;
  return fmt::format("{:.{}f} {}", value, whole ? 0 : 1, small ? "KiB" : "MiB");
}

std::uint64_t MemoryAccount::total(MemoryOf of) const noexcept {
  std::uint64_t sum = 0;
  for (const MemoryPart& part : parts)
    if (part.of == of) sum += part.bytes();
  return sum;
}

std::uint64_t MemoryAccount::fixed(MemoryOf of) const noexcept {
  std::uint64_t sum = 0;
  for (const MemoryPart& part : parts)
    if (part.of == of && !part.grows) sum += part.bytes();
  return sum;
}

std::optional<std::string> MemoryAccount::objection() const {
  for (const MemoryOf of : {MemoryOf::headd, MemoryOf::kernel})
    if (total(of) > ceiling_of(of)) return objection_to(*this, of);
  return std::nullopt;
}

MemoryAccount memory_account(const Config& config, const SocketCeilings& sockets,
                             const MemoryCounts& counts) {
  const std::uint64_t threads = data_threads(config);
  const std::uint64_t guests = std::max<std::uint64_t>(config.data.guests_max, counts.guests);
  const std::uint64_t far = std::min<std::uint64_t>(guests, threads * PayloadPool::far_readers_max);
  using enum MemoryOf;
  MemoryAccount account{.parts = {},
                        .ceiling = config.memory.ceiling_mib * mib,
                        .kernel_ceiling = config.memory.kernel_ceiling_mib * mib};
  account.parts = {
      {"program", "code, stacks, the log, the allocator's slack", headd, 1, program, false},
      {"data_threads", "receive buffers and stall logs (data.threads)", headd, threads, data_thread,
       false},
      {"payloads", "payloads of requests, of each data thread (data.memory_mib)", headd, threads,
       payload_bytes(config), false},
      {"replay", "acknowledged writes that are not flushed (discs.replay_memory_mib)", headd, 1,
       config.discs.replay_memory_mib * mib, false},
      {"statistics", "latencies of all discs", headd, 1, stats::memory::ceiling, false},
      {"api", "requests and answers of the API", headd, 1,
       api_working + 2 * memory::api_exchange_max, false},
      {"guests", "guests' sessions (data.guests_max)", headd, guests, guest + PayloadPool::near,
       false},
      {"guests_read_ahead", "what guests say faster than they are served", headd, far, far_read,
       false},
      {"discs", "attached discs", headd, counts.discs, disc, true},
      {"connections", "connections to tails", headd, counts.connections, connection, true},
      {"guest_sockets", "buffers to guests that take no answers (data.guests_max)", kernel, guests,
       guest_buffer + socket_itself, false},
      {"api_sockets", "buffers of the API's clients", kernel, api_sockets, api_buffer, false},
      {"netlink", "buffers for what the kernel tells of neighbours", kernel, 1, netlink_buffers,
       false},
      {"rings", "io_uring's queues (data.threads)", kernel, threads, ring, false},
      {"tail_sockets", "buffers to and from tails: what payloads and replay can fill", kernel, 1,
       tail_buffers(config, sockets, counts.connections), true},
      {"sockets", "sockets of discs and connections themselves", kernel,
       counts.discs + counts.connections, socket_itself, true},
      {"neighbours", "entries of the neighbour table", kernel, counts.discs, neighbour_entry, true},
  };
  return account;
}

}  // namespace head::control
