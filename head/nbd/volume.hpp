// Something that answers requests. A disc is one; an export serves one to a guest and does not know
// what stands behind it.
#pragma once

#include "head/nbd/request.hpp"

#include <cstdint>

namespace head::nbd {

// Transmission flags of an export (doc/proto.md, "Transmission flags").
namespace transmission_flag {
enum : std::uint16_t {
  has_flags = 1 << 0,
  read_only = 1 << 1,
  send_flush = 1 << 2,
  send_fua = 1 << 3,
  rotational = 1 << 4,
  send_trim = 1 << 5,
  send_write_zeroes = 1 << 6,
  send_df = 1 << 7,
  can_multi_conn = 1 << 8,
  send_resize = 1 << 9,
  send_cache = 1 << 10,
  send_fast_zero = 1 << 11,
};
}  // namespace transmission_flag

// What an export is, as one side tells the other in the handshake.
struct ExportInfo {
  std::uint64_t size = 0;   // Bytes.
  std::uint16_t flags = 0;  // transmission_flag
  std::uint32_t block_minimum = 1;
  std::uint32_t block_preferred = 4096;
  std::uint32_t payload_maximum = 32u << 20;  // Of one READ or WRITE.
  bool structured_replies = false;
  bool base_allocation = false;  // block_status may be asked.

  bool has(std::uint16_t flag) const noexcept { return (flags & flag) != 0; }
  bool operator==(const ExportInfo&) const = default;
};

class Volume {
 public:
  class Watcher {
   public:
    // The volume became known, or changed (a resize, say).
    virtual void on_info() noexcept = 0;

   protected:
    ~Watcher() = default;
  };

  // Null until something behind it has been opened for the first time.
  virtual const ExportInfo* info() const noexcept = 0;

  // Takes a request that keeps to info(): inside the size, only what the flags allow, any
  // alignment (block_minimum is obeyed by the volume, not by its caller). It is answered when it
  // can be, however long that takes.
  virtual void submit(Request& request) noexcept = 0;

  // Nobody waits for the answer any more. True: the request is its owner's again, is not answered,
  // and is not sent from now on; it may have been, on a connection that was lost before the answer,
  // so that a write may have been done. False: it is answered, as before, though perhaps with
  // ECANCELED. Answers nothing inside.
  virtual bool withdraw(Request& request) noexcept = 0;

  // Errors of FLUSH, whoever asked, that may have lost what had been acknowledged: how many there
  // were, and how many anybody has been told of. Whoever asks is to be told once of those since it
  // came, at its next FLUSH or FUA; and of those before that nobody has been told of.
  struct FlushErrors {
    std::uint64_t met = 0, told = 0;
  };
  FlushErrors& flush_errors() noexcept { return flush_errors_; }

  // One watcher of this kind per volume.
  void watch(Watcher* watcher) noexcept { watcher_ = watcher; }

 protected:
  ~Volume() = default;
  void tell_watcher() noexcept {
    if (watcher_ != nullptr) watcher_->on_info();
  }

 private:
  Watcher* watcher_ = nullptr;
  FlushErrors flush_errors_;
};

}  // namespace head::nbd
