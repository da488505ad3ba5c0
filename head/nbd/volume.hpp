// Something that answers requests. A disc is one; an export serves one to a guest and does not know
// what stands behind it.
#pragma once

#include "head/nbd/export_info.hpp"
#include "head/nbd/request.hpp"

#include <cstdint>

namespace head::nbd {

class Volume {
 public:
  class Watcher {
   public:
    // The volume became known, or changed (a resize, say).
    virtual void on_info() noexcept = 0;
    // Requests wait for what is behind it, or do so no longer.
    virtual void on_service_changed() noexcept {}

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
  void tell_service_changed() noexcept {
    if (watcher_ != nullptr) watcher_->on_service_changed();
  }

 private:
  Watcher* watcher_ = nullptr;
  FlushErrors flush_errors_;
};

}  // namespace head::nbd
