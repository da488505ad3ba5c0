#include "tests/sim/world/head.hpp"

#include "head/control/handover.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace world {

using namespace head;

// What all discs of a data thread share, in the order in which it is made.
struct Head::Memory {
  Memory(iouring::Io& io, disc::Patience::Owner& owner, std::size_t replay_memory,
         const std::vector<disc::Trace>& before)
      : stalls(std::chrono::milliseconds(20), log),
        pool(io, 0),
        replay(replay_memory),
        records(1 << 10),
        traces(records, left),
        patience(io, owner, stalls.hold_ups()) {
    for (const disc::Trace& trace : before) left.add(trace, io.now());
  }

  stats::StallLog log;
  stats::Stalls stalls;
  exports::PayloadPool pool;
  disc::ReplayMemory replay;
  std::vector<disc::Traces::Record> records;
  disc::LeftTraces left;
  disc::Traces traces;
  disc::Patience patience;
};

Head::Head(Clock& clock, Dice& dice, HeadIo::Connector& connector, Descriptors& descriptors,
           const HeadManners& manners, std::function<void(const Head&)> tell_shape,
           const std::vector<disc::Trace>& left)
    : io_(clock, dice, connector, descriptors),
      manners_(manners),
      tell_shape_(std::move(tell_shape)) {
  spec_.name = "d";
  spec_.uri.address = {0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  spec_.uri.export_name = "d";
  spec_.connections = manners.connections;
  spec_.identity = manners.identity;
  spec_.grace = manners.grace;
  connection_.suspect_after = manners.suspect_after;
  memory_ = std::make_unique<Memory>(io_, static_cast<disc::Patience::Owner&>(*this),
                                     manners.replay_memory, left);
}

Head::~Head() = default;

void Head::begin(const Shape& shape, bool connects_first) {
  stats_ = std::make_shared<stats::DiscStats>();
  stats_->durability.store(static_cast<std::uint8_t>(manners_.durability));
  served_ = std::make_unique<control::Served>(
      control::Served::Context{.io = io_,
                               .patience = memory_->patience,
                               .pool = memory_->pool,
                               .stalls = memory_->stalls,
                               .connection = connection_,
                               .guard = {.durability = manners_.durability,
                                         .quarantine = manners_.quarantine,
                                         .memory = &memory_->replay,
                                         .traces = &memory_->traces},
                               .identity = manners_.identity,
                               .tail_closes_last = manners_.tail_closes_last,
                               .connects_first = connects_first},
      spec_,
      control::Attachment{
          .stats = stats_, .shape = shape, .on_shape = [this](const auto&) { tell_shape_(*this); }},
      [this] {
        // One that is over: it parts, or is the one that serves.
        const auto over = std::find_if(parting_.begin(), parting_.end(),
                                       [](const auto& served) { return served->over(); });
        if (over != parting_.end())
          parting_.erase(over);
        else
          served_.reset();
      });
}

void Head::take_up(exports::HandedDisc handed) {
  served_->take_up(std::move(handed));
}

void Head::hand_over(std::function<void(exports::HandedDisc)> done) {
  let_go_ = served_->attachment().shape;
  parting_.push_back(std::move(served_));
  const bool with_connections =
      manners_.handing == Handing::all || manners_.handing == Handing::lost;
  parting_.back()->hand_over(with_connections ? SIZE_MAX : 0,
                             [this, done = std::move(done)](exports::HandedDisc handed) {
                               if (!io_.killed()) return done(std::move(handed));
                               // It could not be duplicated any more, and ends with the process.
                               exports::close_staying(io_, handed);
                             });
}

void Head::detach(std::function<void()> done) {
  served_->close(std::move(done));
}

void Head::hear(bool rumour) {
  if (stats_ != nullptr) stats_->rumoured_at = rumour ? ++rumours_ : 0;
}

void Head::relocate() {
  if (served_ != nullptr && !served_->closing()) served_->relocate();
}

void Head::resume_abandoned() {
  if (served_ == nullptr || served_->closing()) return;
  const bool asks = stats_->problem().find("writes them again") != std::string::npos;
  if (asks && !ready()) served_->accept();
}

void Head::resume_unproven() {
  if (served_ == nullptr || served_->closing() || ready()) return;
  const std::string problem = stats_->problem();
  const bool unproven = problem.find("the disc from others") != std::string::npos;
  if (unproven) served_->accept();
}

void Head::set_order(disc::Order order) {
  spec_.order = order;
  if (served_ != nullptr) served_->change(spec_);
}

void Head::set_grace(std::chrono::seconds grace) {
  spec_.grace = grace;
  if (served_ != nullptr) served_->change(spec_);
}

bool Head::ready() const noexcept {
  return stats_ != nullptr && stats_->connections.load() != 0;
}

std::vector<disc::Traces::Record> Head::kill() {
  std::vector<disc::Traces::Record> left = memory_->records;
  io_.kill();
  if (served_ != nullptr && !served_->closing()) served_->close([] {});
  // It drains in a time of its own: the last FLUSH is waited for, a second at most.
  for (int i = 0; i < 1'000'000 && (served_ != nullptr || !parting_.empty()); ++i)
    if (!io_.drain_step()) break;
  if (served_ != nullptr || !parting_.empty() || io_.sockets_open() != 0) std::abort();
  memory_.reset();
  stats_.reset();
  return left;
}

exports::HandedDisc through_document(exports::HandedDisc handed, bool connections_lost) {
  auto listener = std::move(handed.listener);
  std::vector<iouring::UniqueFd> sockets;
  for (auto& session : handed.sessions) sockets.push_back(std::move(session.socket));
  std::vector<iouring::UniqueFd> connections;
  for (auto& one : handed.connections) connections.push_back(std::move(one.socket));
  const std::vector<std::byte> bytes = control::to_document({&handed, 1});
  control::Document document = control::parse_document(bytes);
  if (!document.problem.empty() || document.discs.size() != 1) std::abort();
  exports::HandedDisc told = std::move(document.discs[0]);
  told.listener = std::move(listener);
  for (std::size_t i = 0; i < sockets.size(); ++i) told.sessions[i].socket = std::move(sockets[i]);
  std::erase_if(told.sessions, [](const auto& session) { return !session.socket; });
  for (std::size_t i = 0; i < connections.size() && !connections_lost; ++i)
    told.connections[i].socket = std::move(connections[i]);
  std::erase_if(told.connections, [](const auto& one) { return !one.socket; });
  return told;
}

}  // namespace world
