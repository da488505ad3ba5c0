// One request of a guest, from its header until its answer is sent. It lives in its lease's cell.
#pragma once

#include "head/export/payload_pool.hpp"
#include "head/export/session.hpp"
#include "head/nbd/request.hpp"
#include "head/nbd/wire.hpp"
#include "head/nbd/writer.hpp"

#include <array>
#include <cassert>
#include <cstring>
#include <span>
#include <vector>

namespace head::exports {

struct Session::Slot final : nbd::Request, nbd::Writer::Item {
  Slot(Session& owner, const PayloadPool::Lease& granted) noexcept
      : session(owner), lease(granted) {}

  void on_done(int error) noexcept override { session.on_answer(*this, error); }

  Session& session;
  PayloadPool::Lease lease;
  std::uint64_t cookie = 0;
  bool answered = false;          // Its answer is queued.
  bool at_volume = false;         // Submitted and neither answered nor withdrawn.
  iouring::Duration receiving{};  // Of a write: from its header to the end of its payload.
  iovec text{};                   // An error's message, as what is sent behind its header.
  Slot* previous = nullptr;
  Slot* next = nullptr;
};

// The handshake, and what it needs while it lasts.
struct Session::Greeting {
  Greeting(std::string_view name, const nbd::Volume& volume) noexcept : handshake(name, volume) {}

  ServerHandshake handshake;
  bool listening = false;  // The reader was started.
  bool waits = false;      // For the volume to become known.

  // An option's data, where it is longer than a header can be.
  std::vector<std::byte> body;
  iovec into{};

  // What the handshake says lives there until the next step.
  nbd::Writer::Item item;
  iovec rest{};
  bool sending = false;

  void send(std::span<const std::byte> bytes) noexcept {
    const auto rest_bytes = bytes.subspan(1);
    rest = {.iov_base = const_cast<std::byte*>(rest_bytes.data()), .iov_len = rest_bytes.size()};
    item.set(bytes.front(), {&rest, rest.iov_len == 0 ? 0u : 1u});
    sending = true;
  }

  // While a guest waits for the volume, the reader expects one byte, to see it leave. What it is to
  // send once the volume is known therefore arrives in two pieces: that byte, and the others.
  bool split = false;
  std::size_t whole = 0;
  std::size_t have = 0;
  std::array<std::byte, sizeof(nbd::wire::Request)> pieces{};

  void split_next(std::size_t size) noexcept {
    assert(size > 1 && size <= pieces.size());
    split = true;
    whole = size;
    have = 0;
  }
  std::size_t missing() const noexcept { return whole - have; }
  // Empty until the rest is there.
  std::span<const std::byte> join(std::span<const std::byte> piece) noexcept {
    std::memcpy(pieces.data() + have, piece.data(), piece.size());
    have += piece.size();
    split = have < whole;
    return std::span(pieces).first(split ? 0 : whole);
  }
};

// What another session of this guest has left.
struct Session::Inherited {
  std::vector<std::byte> said;
  std::vector<std::byte> unsent;
  nbd::Writer::Item item;
  iovec rest{};
  bool sending = false;
};

}  // namespace head::exports
