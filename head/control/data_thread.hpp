// One data thread: a loop, and the discs that live on it for life, each with its connections to the
// tail and its export to the guest. Everything else talks to them through here; nothing on a data
// thread ever waits for anything here.
#pragma once

#include "head/catalogue/disc_spec.hpp"
#include "head/disc/identity.hpp"
#include "head/export/handed.hpp"
#include "head/nbd/connection_options.hpp"
#include "head/nbd/durability.hpp"
#include "head/nbd/export_info.hpp"
#include "head/stats/disc_stats.hpp"
#include "head/stats/stall_log.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace head::control {

// What of a data thread's settings can change while it runs.
struct DataSettings {
  iouring::Duration stall_threshold = std::chrono::milliseconds(20);
  nbd::ConnectionOptions connection;  // Of connections that are made from then on.
  // Of discs that are attached from then on, where they do not say.
  nbd::Durability durability = nbd::Durability::writeback;
  disc::Identity identity = disc::Identity::last_writes;
  std::chrono::milliseconds quarantine{30'000};
  bool tail_closes_last = false;
};

// What a disc comes with to its data thread.
struct Attachment {
  std::shared_ptr<stats::DiscStats> stats;
  std::optional<nbd::ExportInfo> shape{};  // disc::DiscOptions
  // Called on the data thread, as `done` is, as long as it is there. What the tail offers is
  // another shape than was known; cannot be a disc, and nothing is known of it.
  std::function<void(const nbd::ExportInfo&)> on_shape{};
  // Where it was proven to be is another place, or none (DiscStats::proven_rumour()).
  std::function<void()> on_proven{};
  std::function<void(const std::string& problem)> on_unusable{};
};

class DataThread {
 public:
  virtual ~DataThread() = default;

  // Any thread may call these; they return at once. `done` runs on the data thread: it must be
  // short and must not block.

  // Makes the disc, opens its sockets for guests and begins to connect to the tail; where these are
  // inherited, with take_up(). `done("")`, or
  // with a sentence, when a socket for guests could not be opened; the disc then is not there.
  // How the connection to the tail fares is told by `with.stats`.
  virtual void attach(const catalogue::DiscSpec& spec, Attachment with,
                      std::function<void(std::string problem)> done) = 0;

  // Ends the sessions with guests, drains the disc and forgets it.
  virtual void detach(const std::string& name, std::function<void()> done) = 0;

  // The disc's tail is elsewhere now, or there again: connects anew, before what there is is given
  // up. Nothing where there is no such disc.
  virtual void relocate(const std::string& name) = 0;

  // Finds out what these discs' tails offer now, a few at a time, the newest asked first; a disc
  // whose size is another one connects anew. Nothing for those that are not there.
  virtual void look(std::vector<std::string>) {}

  // Another first block than before is right: disc::Disc::accept().
  virtual void accept(const std::string&) {}

  // What is wanted of the disc has changed: its order, its grace time. `done` also where there is
  // no such disc.
  virtual void change(const catalogue::DiscSpec& spec, std::function<void()> done) = 0;

  // Takes all discs off this thread, for another headd or for take_back(): their guests' sockets
  // stay open, and so many connections to tails at most, where nothing is unanswered on them; the
  // others are closed. `done` has all of it, a pause of about 100 ms at most later.
  virtual void hand_over(std::size_t connections_most,
                         std::function<void(std::vector<exports::HandedDisc>)> done) = 0;
  // Those discs again; their guests come with take_up().
  virtual void take_back() = 0;
  // What discs wait for, which began while an inheritance was awaited, has arrived. `done` when
  // they have it.
  virtual void take_up(std::function<void()> done) = 0;

  // From now on.
  virtual void apply(const DataSettings& settings) = 0;

  // `done` runs on the data thread when its turn comes: a thread that hangs does not get to it.
  virtual void ask(std::function<void()> done) = 0;

  // Discs that no guest can connect to, as their sockets could not be opened when they were taken
  // up, and why: it is tried again every second. Any thread.
  using Reasons = std::map<std::string, std::string>;
  virtual Reasons without_listener() const { return {}; }

  // Its slow requests; may be read at any time while the thread is there.
  virtual const stats::StallLog& stalls() const noexcept = 0;
};

}  // namespace head::control
