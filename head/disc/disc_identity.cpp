// Whether what a connection leads to is the disc that it was: its shape, what was written last, and
// where an operator wants that, its first block. Nothing is asked of it before that is known.
#include "head/disc/link.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace head::disc {

namespace flag = nbd::transmission_flag;

namespace {

constexpr const char* smaller = "the tail now offers a smaller disc than before";
constexpr const char* another_block =
    "the first block is not the one it was: the tail offers another disc (if it is the right one, "
    "`headctl resume` accepts it)";
// Told with an offset.
constexpr const char* other_writes =
    "the tail does not have what was written last, at offset {}: it has lost that, or somebody "
    "else has written there; `headctl resume` accepts what it has";
// Of a tail that only the wire leads to, with its link-layer address.
constexpr const char* unlike =
    "its host does not answer, and {}, which claims its address, does not have what was written: "
    "`headctl move` says where the disc is, `headctl resume` accepts what is there";
constexpr const char* unread =
    "its host does not answer, and from {}, which claims its address, what was written last cannot "
    "be read, so that nothing tells the disc from others: `headctl move` says where the disc is, "
    "`headctl resume` accepts what is there";
constexpr const char* unknown =
    "its host does not answer, {} claims its address, and nothing is known here that tells the "
    "disc "
    "from others: `headctl move` says where the disc is, `headctl resume` accepts what is there";
constexpr const char* moved_meanwhile = "its host was found to be another one meanwhile";
constexpr const char* abandoned =
    "{} bytes are kept that may be older than the tail's data: no guest was here at some time, or "
    "grace was over; `headctl resume` writes them again, `headctl detach` drops them";

bool is_of_place(const char* objection) noexcept {
  return objection == unlike || objection == unread || objection == unknown;
}

// Any blank disc has that.
bool is_blank(std::span<const std::byte> bytes) noexcept {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte one) { return one == std::byte{}; });
}

bool is_readable(const LastWrites::Write& write, const nbd::ExportInfo& tail) noexcept {
  return write.offset + write.length <= tail.size && write.length <= tail.payload_maximum &&
         (write.offset | write.length) % tail.block_minimum == 0;
}

}  // namespace

void Disc::on_open(Link& link) noexcept {
  const nbd::ExportInfo& told = link.connection.info();
  if (closing_) return link.connection.leave();
  if (link.rumour != rumours_.now()) return link.connection.fail(moved_meanwhile);
  const bool foretold = first_block_ && first_block_->known();
  const char* objection = known_                                           ? objection_to(told)
                          : foretold && told.size < first_block_->length() ? smaller
                                                                           : nullptr;
  if (objection != nullptr) return object(link, objection);
  if (!prove(link)) settle_in(link);
}

// What speaks against going on with a disc that came back as `told`; null for nothing.
const char* Disc::objection_to(const nbd::ExportInfo& told) const noexcept {
  const auto needed = static_cast<std::uint16_t>(tail_.flags & ~flag::can_multi_conn);
  if (told.size < tail_.size) return smaller;
  if (told.has(flag::read_only) && !tail_.has(flag::read_only))
    return "the tail now offers the disc read-only";
  if ((told.flags & needed) != needed)
    return "the tail now offers the disc with fewer features than before";
  if (told.block_minimum > tail_.block_minimum || told.payload_maximum < tail_.payload_maximum)
    return "the tail now offers the disc with tighter block sizes than before";
  if (tail_.base_allocation && !told.base_allocation)
    return "the tail no longer tells which blocks are allocated";
  if (many_ && !told.has(flag::can_multi_conn)) return "the tail no longer offers CAN_MULTI_CONN";
  return nullptr;
}

// Where another connection serves still, that goes on serving, if it can.
void Disc::object(Link& link, const char* objection, std::string told) noexcept {
  const bool served = link.predecessor != nullptr;
  if (is_of_place(objection)) {
    rumours_.object(link.rumour);
    told = fmt::format(fmt::runtime(objection), rumours_.who());
  }
  if (told.empty()) told = objection;
  stats_->set_problem(told);
  static log::RateLimit limit;
  if (std::exchange(last_objection_, objection) != objection)  // Not at every attempt.
    say(log::Level::warning, limit,
        fmt::format("{}; {}", told,
                    served && link.predecessor->connection.ready()
                        ? "the connection before it serves on"
                        : "its requests are held"));
  if (served) return part_from(link);
  tell_state();
  link.connection.leave();
}

// Nobody else can have changed the disc since what is kept was acknowledged. False: it is left. A
// connection that breaks may have been silent for the grace time before that was noticed.
bool Disc::may_serve(Link& link) noexcept {
  if (owed_since_ &&
      grace_is_over(standing_, io_.now() - std::max({*owed_since_, last_progress_, grace_from_})))
    guard_.set_grace_over(true);
  if (!guard_.is_abandoned()) return true;
  // Nor is a connection to go on that it would replace.
  if (link.predecessor != nullptr)
    link.predecessor->connection.fail("what is kept is not to be written again");
  object(link, abandoned, fmt::format(fmt::runtime(abandoned), guard_.kept_bytes()));
  return false;
}

// It is the disc.
void Disc::settle_in(Link& link) noexcept {
  if (!may_serve(link)) return;
  const nbd::ExportInfo& told = link.connection.info();
  const bool first = opening_.has_value();
  end_opening(0);
  if (!known_)
    learn(told);
  else
    first ? adopt(told) : grow(told.size);
  if (link.rumour == 0 && rumours_.prove(0)) owner_.on_disc_proven(*this);
  static log::RateLimit note_limit;
  const std::string& note = link.connection.note();
  if (std::exchange(last_note_, note) != note && !note.empty())
    say(log::Level::warning, note_limit, note);
  stats_->set_note(note);
  last_objection_ = nullptr;
  on_trial(link) ? send_trial() : go_on_with(link);
}

// ---- What the tail must have --------------------------------------------------------------------

// Only the wire says that it is there, against whoever told where it is. A disc that is told by its
// shape alone, as an operator wants, has nothing to show.
bool Disc::must_prove() const noexcept {
  return (last_writes_ || first_block_) && rumours_.must_be_proven();
}

bool Disc::may_lead_elsewhere(const Link& link) const noexcept {
  return must_prove() && link.rumour != rumours_.now();
}

// False: there is nothing to compare, and it is taken as the disc. Otherwise it is asked, or left.
bool Disc::prove(Link& link) noexcept {
  // Once it was another one, only a comparison, or an operator, says that it is not.
  if (first_block_ && !first_block_->known() && last_objection_ == another_block)
    return object(link, another_block), true;
  const bool must = must_prove();
  if (first_block_ && first_block_->awaits() && !must) return false;
  auto proof = std::make_unique<Proof>(io_.now());
  const bool lately = !must && read_back_at_ && io_.now() - *read_back_at_ < readings_apart;
  if (last_writes_ && !lately)
    for (const auto& write : must ? last_writes_->known() : last_writes_->newest())
      if (is_readable(write, link.connection.info())) proof->add(write);
  if (first_block_comparable(link)) proof->add(*first_block_);
  if (!proof->ask_next()) {
    if (must) object(link, unknown);
    return must;
  }
  link.proof = std::move(proof);
  link.connection.submit(*link.proof);
  io_.arm(link.proof_late_, io_.now() + connection_options_.handshake_timeout);
  return true;
}

bool Disc::first_block_comparable(const Link& link) noexcept {
  if (!first_block_) return false;
  if (first_block_->known() && first_block_->readable(link.connection.info())) return true;
  static log::RateLimit limit;
  if (!opening_)
    say(log::Level::info, limit,
        "connected again; its first block was changed lately, and is not compared");
  return false;
}

void Disc::Link::on_proof_late() noexcept {
  connection.fail("no answer to the read that verifies the disc");
}

void Disc::on_proof(Link& link, int error) noexcept {
  io_.disarm(link.proof_late_);
  if (closing_) {
    link.proof.reset();
    return link.connection.leave();
  }
  if (link.rumour != rumours_.now()) return link.connection.fail(moved_meanwhile);
  if (!judge_proof(link, error)) return;
  if (link.proof->ask_next()) {
    io_.arm(link.proof_late_, io_.now() + connection_options_.handshake_timeout);
    return link.connection.submit(*link.proof);
  }
  if (!link.proof->of_first_block() && error == 0) read_back_at_ = io_.now();
  const bool matched = link.proof->matched;
  link.proof.reset();
  if (must_prove()) {
    if (!matched) return object(link, unread);
    if (rumours_.prove(link.rumour)) owner_.on_disc_proven(*this);
  }
  settle_in(link);
}

// False: it is not the disc.
bool Disc::judge_proof(Link& link, int error) noexcept {
  const Proof& proof = *link.proof;
  if (!proof.of_first_block()) {
    const LastWrites::Write write = proof.write();
    static log::RateLimit not_read;
    if (error != 0)
      say(log::Level::warning, not_read,
          fmt::format("what was written last cannot be read back ({}), and is not compared",
                      std::strerror(error)));
    if (error != 0 || !last_writes_->still_knows(write)) return true;
    if (is_there(write, proof.found())) {
      link.proof->matched |= last_writes_->is_proof(write) && !is_blank(proof.found());
      return true;
    }
    link.proof.reset();
    read_back_at_.reset();
    if (must_prove()) return object(link, unlike), false;
    object(link, other_writes, fmt::format(fmt::runtime(other_writes), write.offset));
    return false;
  }
  const auto found = error == 0 ? std::optional(checksum_of(proof.found())) : std::nullopt;
  static log::RateLimit limit;
  switch (first_block_->judge(proof.version(), found)) {
    case FirstBlock::Verdict::another:
      link.proof.reset();
      object(link, must_prove() ? unlike : another_block);
      return false;
    case FirstBlock::Verdict::not_compared:
      say(log::Level::warning, limit,
          found ? "its first block was changed meanwhile, and is not compared"
                : "its first block cannot be read, and is not compared");
      break;
    case FirstBlock::Verdict::same:
      link.proof->matched |=
          (!last_writes_ || last_writes_->newest().empty()) && !is_blank(proof.found());
      break;
  }
  return true;
}

bool Disc::is_look(const nbd::Request& request) const noexcept {
  if (!first_block_ && !last_writes_) return false;
  return &request == look_.get() ||
         std::any_of(links_.begin(), links_.end(),
                     [&](const auto& link) { return &request == link->proof.get(); });
}

void Disc::on_look(nbd::Request& request, int error) noexcept {
  for (std::size_t i = 0; i < links_.size(); ++i)
    if (links_[i]->proof.get() == &request) return on_proof(*links_[i], error);
  nbd::Connection* next = nullptr;
  if (error == 0 && look_->command == nbd::Command::flush && !closing_) next = free_connection();
  if (next != nullptr) {
    look_->read();
    return next->submit(*look_);
  }
  const std::unique_ptr<Look> look = std::move(look_);
  if (error == 0 && look->command == nbd::Command::read)
    first_block_->take_stock(look->version, checksum_of(look->block));
  if (!first_block_->known()) look_soon();
}

void Disc::lose_look(const nbd::Request& request) noexcept {
  if (&request == look_.get()) return look_.reset();  // The next connection begins another one.
  for (const auto& link : links_)
    if (&request == link->proof.get()) link->proof.reset();
}

void Disc::accept() noexcept {
  const bool data = last_objection_ == another_block || last_objection_ == other_writes ||
                    last_objection_ == unlike;
  if (!closing_ && is_of_place(last_objection_)) {
    // Another one is spoken of meanwhile, and nobody has looked at that.
    if (!rumours_.accept()) return relocate();
    owner_.on_disc_proven(*this);
    if (!data) {
      last_objection_ = nullptr;
      return relocate();
    }
  }
  if (closing_ || (!data && (!cut_off_since_ || !guard_.is_abandoned()))) return;
  static log::RateLimit limit;
  say(log::Level::warning, limit,
      data ? "what the tail offers is accepted as this disc by an operator"
           : "what is kept is written again, as an operator says");
  if (data && first_block_) first_block_->forget();
  if (data && last_writes_) last_writes_->forget();
  // Who accepts the tail's data has not said that what is kept here is to be written over it.
  data ? guard_.abandon() : guard_.claim();
  owed_since_.reset();
  last_objection_ = nullptr;
  relocate();
}

}  // namespace head::disc
