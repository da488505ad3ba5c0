// A disc as its guests see it: a listening Unix socket and a session for each guest. All of it
// lives on one data thread; while no guest is connected it holds no memory but itself. A session
// whose guest is gone stays, without being counted, until the volume has answered what it began.
//
// Close is a drain: close() stops accepting and hangs up; when the volume has answered whatever it
// was asked and nothing is pending in the kernel, Owner::on_export_closed() is called, once, and
// the export may be destroyed from inside it.
//
// Or it is handed over: hand_over() stops reading and accepting at once. What is outstanding may
// still be answered, for a short time at most; then Owner::on_export_quiet() asks for the volume to
// be closed, and when that has let go of everything, on_export_handed() has all there is, and the
// export is closed. Guests notice nothing but a pause.
#pragma once

#include "head/export/handed.hpp"
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
    // The last guest is gone, and nothing of it is at the volume any more. Not while it closes.
    virtual void on_export_empty(Export&) noexcept {}
    // Whether any guest is connected, whenever one has come or gone. Not while it ends.
    virtual void on_export_attended(Export&, bool) noexcept {}
    // Once, after hand_over(). The volume is to answer with ESHUTDOWN what it has not answered.
    virtual void on_export_quiet(Export&) noexcept {}
    // After that, once, instead of on_export_closed().
    virtual void on_export_handed(Export&, HandedDisc) noexcept {}

   protected:
    ~Owner() = default;
  };

  // So long at most answers are waited for when guests are handed over.
  static constexpr std::chrono::milliseconds quiet_within{100};

  // Everything referred to must outlive the export; it is the volume's watcher as long as it lives.
  // With a listener it starts to accept at once, without one when take_up() brings it.
  Export(iouring::Io& io, std::string name, nbd::Volume& volume, stats::DiscStats& stats,
         stats::Stalls& stalls, PayloadPool& pool, iouring::UniqueFd listener, Owner& owner);
  Export(iouring::Io& io, std::string name, nbd::Volume& volume, stats::DiscStats& stats,
         stats::Stalls& stalls, PayloadPool& pool, Owner& owner);
  Export(const Export&) = delete;
  Export& operator=(const Export&) = delete;
  ~Export();  // Closed.

  // The listener, and the guests that another export of the disc had, as many as they are. Once,
  // where there was none. `stays`: the listener, where this loop has it still.
  void take_up(iouring::UniqueFd listener, std::vector<HandedSession> sessions,
               iouring::Socket stays = {});
  bool listens() const noexcept { return static_cast<bool>(listener_); }

  // One of them, at most once.
  void close() noexcept;
  void hand_over() noexcept;

  const std::string& name() const noexcept { return name_; }
  std::size_t guests() const noexcept;

 private:
  void on_info() noexcept override;
  void on_service_changed() noexcept override { memory_.ask_soon(); }
  void on_guest_gone(Session&) noexcept override { count_guests(); }
  void on_session_over(Session&) noexcept override { tidy_later(); }
  void on_guest_greeted(Session&) noexcept override { count_guests(); }
  void on_session_halting(Session&) noexcept override { tidy_later(); }

  void on_accept(iouring::Result result) noexcept;
  void on_accept_again() noexcept;
  void on_tidy(iouring::Result) noexcept;
  void pause(int error, const char* what) noexcept;
  void tell_inherited_beyond() const noexcept;
  std::vector<std::uint64_t> sizes_told() const;
  void tell_outdated() const noexcept;
  bool may_take_in() noexcept;
  iouring::Socket adopt(iouring::UniqueFd guest);
  void take_in(iouring::Socket guest, std::unique_ptr<HandedSession> handed);
  void listen(iouring::Socket listener);
  void on_halting() noexcept;
  void on_nudge() noexcept;
  void duplicate_next() noexcept;
  void on_duplicate(iouring::Result result) noexcept;
  iouring::Socket let_go(iouring::Socket socket, bool duplicated) noexcept;
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

  enum class Handing : std::uint8_t { no, answers, drain, sockets, done };
  Handing handing_ = Handing::no;
  iouring::Instant quiet_until_{};
  HandedDisc handed_;

  iouring::Op<&Export::on_accept> accept_{*this};
  iouring::Op<&Export::on_tidy> tidy_{*this};  // Buries sessions outside their own calls.
  iouring::Alarm<&Export::on_accept_again> accept_again_{*this};
  iouring::Op<&Export::on_duplicate> duplicate_{*this};
  iouring::Alarm<&Export::on_nudge> nudge_{*this};
};

}  // namespace head::exports
