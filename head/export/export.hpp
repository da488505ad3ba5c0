// A disc as its guests see it: a listening Unix socket and a session for each guest. All of it
// lives on one data thread; while no guest is connected it holds no memory but itself. A session
// whose guest is gone stays, without being counted, until the volume has answered what it began.
//
// Close is a drain: close() stops accepting and hangs up; when the volume has answered whatever it
// was asked and nothing is pending in the kernel, Owner::on_export_closed() is called, once, and
// the export may be destroyed from inside it.
#pragma once

#include "head/export/payload_pool.hpp"
#include "head/export/session.hpp"
#include "head/nbd/volume.hpp"
#include "head/stats/stalls.hpp"
#include "iouring/io.hpp"
#include "iouring/unique_fd.hpp"

#include <memory>
#include <string>
#include <vector>

namespace head::exports {

class Export final : nbd::Volume::Watcher, Session::Owner {
 public:
  // Guests of one disc at a time; a further one is hung up on, as is one that would come while so
  // many sessions without a guest still wait for the tail.
  static constexpr std::size_t guests_max = 16;
  static constexpr std::size_t lingering_max = 64;

  class Owner {
   public:
    virtual void on_export_closed(Export& closed) noexcept = 0;

   protected:
    ~Owner() = default;
  };

  // Starts to accept at once. Everything referred to must outlive the export; it is the volume's
  // watcher as long as it lives.
  Export(iouring::Io& io, std::string name, nbd::Volume& volume, stats::DiscStats& stats,
         stats::Stalls& stalls, PayloadPool& pool, iouring::UniqueFd listener, Owner& owner);
  Export(const Export&) = delete;
  Export& operator=(const Export&) = delete;
  ~Export();  // Closed.

  // At most once.
  void close() noexcept;

  const std::string& name() const noexcept { return name_; }
  std::size_t guests() const noexcept;

 private:
  void on_info() noexcept override;
  void on_guest_gone(Session&) noexcept override { count_guests(); }
  void on_session_over(Session&) noexcept override { tidy_later(); }

  void on_accept(iouring::Result result) noexcept;
  void on_accept_again() noexcept;
  void on_tidy(iouring::Result) noexcept;
  void pause(int error) noexcept;
  bool may_take_in() noexcept;
  void take_in(iouring::UniqueFd guest);
  void count_guests() noexcept;
  void tidy_later() noexcept;

  iouring::Io& io_;
  const std::string name_;
  stats::DiscStats& stats_;
  stats::Stalls& stalls_;
  nbd::Volume& volume_;
  PayloadPool::Account memory_;
  Owner& owner_;
  iouring::Socket listener_;
  std::vector<std::unique_ptr<Session>> sessions_;
  bool closing_ = false;

  iouring::Op<&Export::on_accept> accept_{*this};
  iouring::Op<&Export::on_tidy> tidy_{*this};  // Buries sessions outside their own calls.
  iouring::Alarm<&Export::on_accept_again> accept_again_{*this};
};

}  // namespace head::exports
