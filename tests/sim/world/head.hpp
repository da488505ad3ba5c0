// One headd process with one disc, made of the production parts that a data thread has: the disc
// and its export (control::Served), memory for payloads and for the replay log, patience. Only the
// kernel below and the control plane above are the world's.
#pragma once

#include "head/control/served.hpp"
#include "head/export/payload_pool.hpp"
#include "head/stats/stalls.hpp"
#include "tests/sim/world/head_io.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace world {

// What becomes of connections to tails when headd is upgraded.
enum class Handing : std::uint8_t {
  all,      // Those that can, go along.
  lost,     // The document tells of them, and their descriptors are not there.
  no_room,  // There are no descriptors for them.
  earlier,  // The headd is an earlier one, which closes them; the next one connects before.
};

struct HeadManners {
  head::nbd::Durability durability = head::nbd::Durability::replay;
  head::disc::Identity identity = head::disc::Identity::last_writes;
  unsigned connections = 1;
  std::chrono::seconds grace{};
  std::chrono::milliseconds suspect_after{2'000};
  std::chrono::milliseconds quarantine{3'000};
  bool tail_closes_last = false;
  std::size_t replay_memory = 1 << 20;
  Handing handing = Handing::all;
};

class Head final : head::disc::Patience::Owner {
 public:
  using Shape = std::optional<head::nbd::ExportInfo>;

  // `left`: by heads that were killed. `tell_shape`: it is another one than it was.
  Head(Clock& clock, Dice& dice, HeadIo::Connector& connector, Descriptors& descriptors,
       const HeadManners& manners, std::function<void(const Head&)> tell_shape,
       const std::vector<head::disc::Trace>& left = {});
  Head(const Head&) = delete;
  Head& operator=(const Head&) = delete;
  ~Head();

  // The tail is known to have that shape. Guests come with take_up(), which brings what an earlier
  // process has left of the disc, its listener at least; before that it does not connect to the
  // tail, unless `connects_first`.
  void begin(const Shape& shape, bool connects_first = false);
  void take_up(head::exports::HandedDisc handed);
  // Lets go of its guests; what they were goes to `done`, without the process's help from then on.
  void hand_over(std::function<void(head::exports::HandedDisc)> done);
  // What was handed over comes back.
  void take_back(head::exports::HandedDisc handed) {
    begin(let_go_);
    take_up(std::move(handed));
  }
  // To attach(), with a listener.
  void detach(std::function<void()> done);
  void attach(head::exports::HandedDisc nothing) {
    begin({});
    take_up(std::move(nothing));
  }

  // A rumour: only the wire says that the tail is elsewhere, against what was told; or it is there.
  void hear(bool rumour);
  void relocate();
  // As an operator does who reads that it keeps what may be older than the disc is by now, and
  // knows that it is not.
  void resume_abandoned();
  // And as one who knows that the tail which cannot be told from others is the right one. That it
  // was taken for another one nobody forgives.
  void resume_unproven();
  void set_order(head::disc::Order order);
  void set_grace(std::chrono::seconds grace);

  void stop(bool yes) { io_.stop(yes); }
  // SIGKILL. All of it is gone but this object, which may have events to come; and what it had in
  // memory that outlives it.
  std::vector<head::disc::Traces::Record> kill();

  HeadIo& io() noexcept { return io_; }
  const HeadIo& io() const noexcept { return io_; }
  bool serves() const noexcept { return served_ != nullptr; }
  bool ready() const noexcept;
  Shape shape() const { return served_ != nullptr ? served_->attachment().shape : let_go_; }

 private:
  struct Memory;

  void on_waiting(head::disc::Disc&) noexcept override {}

  HeadIo io_;
  const HeadManners manners_;
  const std::function<void(const Head&)> tell_shape_;
  Shape let_go_;  // Of what it has handed over.
  head::catalogue::DiscSpec spec_;
  head::nbd::ConnectionOptions connection_;
  std::unique_ptr<Memory> memory_;
  std::shared_ptr<head::stats::DiscStats> stats_;
  std::uint64_t rumours_ = 0;  // That it was told of.
  std::unique_ptr<head::control::Served> served_;
  std::vector<std::unique_ptr<head::control::Served>> parting_;
};

// Through the document in which one headd tells the next, and back. `connections_lost`: their
// descriptors.
head::exports::HandedDisc through_document(head::exports::HandedDisc handed, bool connections_lost);

}  // namespace world
