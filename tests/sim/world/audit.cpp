#include "tests/sim/world/audit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace world {

using head::nbd::Command;

namespace {

// Are they about the same sectors?
bool meets(const Ask& ask, const head::nbd::RequestHeader& refused) {
  constexpr auto sector = check::sector_bytes;
  const std::uint64_t from = ask.first * sector, to = from + ask.count * sector;
  return refused.offset < to && from < refused.offset + refused.length;
}

// For the trace: what each sector of an answered READ came from, ": changes 7 7 0" say.
std::string origins(const Ask& ask, std::span<const std::byte> data) {
  std::string all;
  for (std::uint64_t i = 0; ask.skew == 0 && (i + 1) * check::sector_bytes <= data.size(); ++i) {
    const auto sector = data.subspan(i * check::sector_bytes).first<check::sector_bytes>();
    const auto origin = check::origin_of(sector, {.change = 0, .disc = 0, .sector = ask.first + i});
    all += origin ? fmt::format(" {}", origin->change) : std::string(" mixed");
  }
  return all.empty() ? all : ": changes" + all;
}

}  // namespace

std::string to_string(const Ask& ask) {
  const char* name = "?";
  switch (ask.command) {
    case Command::read:
      name = "READ";
      break;
    case Command::write:
      name = ask.fua ? "WRITE with FUA" : "WRITE";
      break;
    case Command::flush:
      return "FLUSH";
    case Command::trim:
      name = "TRIM";
      break;
    case Command::write_zeroes:
      name = ask.fua ? "WRITE_ZEROES with FUA" : "WRITE_ZEROES";
      break;
    case Command::block_status:
      name = "BLOCK_STATUS";
      break;
    case Command::cache:
      name = "CACHE";
      break;
    default:
      break;
  }
  return std::string(name) + " of sectors " + std::to_string(ask.first) + "-" +
         std::to_string(ask.first + ask.count - 1);
}

bool Audit::is_change(Command command) {
  return command == Command::write || command == Command::write_zeroes || command == Command::trim;
}

// Does its success say that something is stable?
bool Audit::is_sync(const Ask& ask) const {
  if (ask.command == Command::flush) return true;
  return is_change(ask.command) && (ask.fua || promise_ == check::Promise::writethrough);
}

Audit::Request& Audit::ask(unsigned guest, const Ask& ask) {
  if (spare_.empty()) spare_.emplace_back();
  open_.splice(open_.end(), spare_, spare_.begin());
  Request& request = open_.back();
  request = {.ask = ask, .guest = guest};
  request.progress = progress_.ask(now(), to_string(ask) + " by guest " + std::to_string(guest));
  request.asked = errors_.ask();
  if (is_sync(ask)) request.sync = errors_.ask_sync();
  if (ask.beyond) {
    errors_.excuse(request.progress);
    return request;
  }
  switch (ask.command) {
    case Command::read:
    case Command::block_status:
      request.read = values_.ask_read();
      break;
    case Command::flush:
      request.flush = values_.ask_flush();
      break;
    case Command::write:
      request.change = values_.ask_change(check::Kind::write, ask.first, ask.count, ask.fua);
      break;
    case Command::write_zeroes:
      request.change = values_.ask_change(check::Kind::zero, ask.first, ask.count, ask.fua);
      break;
    case Command::trim:
      request.change = values_.ask_change(check::Kind::trim, ask.first, ask.count, ask.fua);
      break;
    default:
      break;
  }
  if (traces_) tell(describe(request) + " is asked");
  // It fails in the end, and not later than others are answered.
  if (poison_ == ask.command &&
      (ask.command == Command::flush || ask.first + ask.count > poison_from_))
    errors_.excuse(request.progress);
  return request;
}

// Extents follow one another from where it was asked; what is said to read as zeroes may do so.
check::Violation Audit::check_status(const Request& request,
                                     std::span<const head::nbd::Extent> extents) {
  constexpr std::uint32_t reads_as_zero = 2;
  const std::uint64_t bytes = request.ask.count * check::sector_bytes;
  std::uint64_t at = 0;
  std::vector<check::Values::Stretch> zeroes;
  for (const head::nbd::Extent& extent : extents) {
    const std::uint64_t to = std::min<std::uint64_t>(at + extent.length, bytes);
    const std::uint64_t first = (at + check::sector_bytes - 1) / check::sector_bytes,
                        end = to / check::sector_bytes;
    if ((extent.flags & reads_as_zero) != 0 && first < end)
      zeroes.push_back({.first = request.ask.first + first, .count = end - first});
    at = to;
  }
  if (at != 0) return values_.answer_zeroes(request.read, zeroes);
  values_.drop_read(request.read);
  return {.rule = check::Rule::damaged, .sentence = to_string(request.ask) + " told of no extent"};
}

// Of a sector that was asked in part nothing is told.
check::Violation Audit::check_read(const Request& request, std::span<const std::byte> data) {
  const Ask& ask = request.ask;
  if (ask.skew == 0) return values_.answer_read(request.read, ask.first, data);
  return values_.answer_read(request.read, ask.first + 1,
                             data.subspan(check::sector_bytes - ask.skew));
}

void Audit::answer(Request& request, int error, std::span<const std::byte> data,
                   std::span<const head::nbd::Extent> extents) {
  if (traces_)
    tell(fmt::format("{} is answered, errno {}{}", describe(request), error,
                     origins(request.ask, data)));
  hear_losses();
  note(progress_.answer(request.progress, now()));
  if (request.ask.beyond) {
    if (error == 0)
      note({.rule = check::Rule::invented,
            .sentence = to_string(request.ask) + ", which is beyond the end, succeeded"});
    return forget(request);
  }
  if (error != 0) {
    // A change may have waited for a FLUSH of headd's own.
    const bool told = is_sync(request.ask) && errors_.owes(request.guest);
    const bool excused = told || ((is_sync(request.ask) || is_change(request.ask.command)) &&
                                  clock_.now() < sync_errors_until_);
    if (!excused)
      note(errors_.fail(request.progress, request.asked,
                        to_string(request.ask) + " by guest " + std::to_string(request.guest)));
  }
  if (is_sync(request.ask)) {
    sync_answered_at_ = errors_.ask();
    // Others came while its error was on the way.
    const bool others = std::any_of(open_.begin(), open_.end(), [&](const Request& other) {
      return &other != &request && is_sync(other.ask);
    });
    if (error != 0 && others) sync_errors_until_ = clock_.now() + sync_errors_for;
  }
  if (is_sync(request.ask) && (error != 0 || !may_be_told_yet(request)))
    note(errors_.answer_sync(request.guest, request.sync, error == 0));
  if (request.change != 0) values_.answer_change(request.change, error == 0);
  if (request.flush != 0) values_.answer_flush(request.flush, error == 0);
  if (request.ask.command == Command::block_status && error == 0)
    note(check_status(request, extents));
  else if (request.read != 0 && error == 0)
    note(check_read(request, data));
  else if (request.read != 0)
    values_.drop_read(request.read);
  forget(request);
}

// A change with FUA says of itself alone that it is stable; of others its guest hears once headd
// has. A TRIM of less than a block says nothing at all. And where another FLUSH of the same guest
// was under way when the tail refused one, that is the one to fail.
bool Audit::may_be_told_yet(const Request& request) const {
  if (request.ask.command == Command::trim) return true;
  if (request.ask.command != Command::flush &&
      (losses_untold_ != 0 || clock_.now() <= losses_heard_at_))
    return true;
  return std::any_of(open_.begin(), open_.end(), [&](const Request& other) {
    return &other != &request && other.guest == request.guest && is_sync(other.ask) &&
           other.sync <= flush_refused_at_;
  });
}

void Audit::abandon(Request& request) {
  if (traces_) tell(describe(request) + " is given up");
  progress_.excuse(request.progress);
  if (request.change != 0) values_.abandon(request.change);
  if (request.read != 0) values_.drop_read(request.read);
  forget(request);
}

void Audit::forget(const Request& request) {
  const auto place = std::find_if(open_.begin(), open_.end(),
                                  [&](const Request& one) { return &one == &request; });
  spare_.splice(spare_.begin(), open_, place);
}

void Audit::on_trouble(bool begins) {
  begins ? progress_.trouble_begins(now()) : progress_.trouble_ends(now());
}

// Was another sync under way while this one was?
bool Audit::had_company(const head::nbd::RequestHeader& refused) const {
  return std::any_of(open_.begin(), open_.end(), [&](const Request& request) {
    return is_sync(request.ask) &&
           (!meets(request.ask, refused) || request.sync < sync_answered_at_);
  });
}

// Most tails make a FLUSH of FUA, and that may be what failed. In mode writethrough it concerns
// others only where it was not alone.
bool Audit::may_concern_others(const head::nbd::RequestHeader& refused) const {
  const bool fua = (refused.flags & head::nbd::command_flag::fua) != 0;
  return fua && (promise_ != check::Promise::writethrough || had_company(refused));
}

void Audit::expect_sync_errors() {
  sync_errors_until_ = clock_.now() + sync_errors_for;
  flush_refused_at_ = errors_.ask();
}

void Audit::on_refusal_heard(const head::nbd::RequestHeader& refused) {
  if (may_concern_others(refused)) expect_sync_errors();
}

void Audit::on_refusal(const head::nbd::RequestHeader& refused) {
  const bool flush = static_cast<Command>(refused.type) == Command::flush;
  if (flush || may_concern_others(refused)) expect_sync_errors();
  for (const Request& request : open_)
    if (!flush && meets(request.ask, refused)) errors_.excuse(request.progress);
}

void Audit::on_fate(const head::nbd::RequestHeader& header, Fate fate) {
  if (!traces_) return;
  const char* const what = fate == Fate::done   ? "carries out"
                           : fate == Fate::torn ? "carries out in part"
                                                : "drops";
  tell(fmt::format("the tail {} command {} of sectors {}+{}, cookie {:#x}", what, header.type,
                   header.offset / check::sector_bytes, header.length / check::sector_bytes,
                   header.cookie));
}

void Audit::tell(const std::string& what) const {
  if (!traces_) return;
  const auto since = std::chrono::duration<double, std::milli>(clock_.now() - begun_).count();
  fmt::print("{:>11.3f} ms  {}\n", since, what);
}

std::string Audit::describe(const Request& request) {
  std::string text = to_string(request.ask) + " by guest " + std::to_string(request.guest);
  if (request.change != 0) text += ", change " + std::to_string(request.change) + ",";
  return text;
}

std::uint64_t Audit::on_data_lost(bool of_others) {
  ++losses_untold_;
  // Whoever asked for the FLUSH that failed.
  values_.may_forget(true);
  values_.may_forget(false);
  const check::Errors::Moment now = errors_.ask();
  if (of_others && promise_ != check::Promise::replay) errors_.tail_lost_data(now);
  return now;
}

void Audit::on_loss_heard() {
  --losses_untold_;
  losses_heard_at_ = clock_.now() + answers_take_;
  losses_unheard_of_ = true;
}

// By then guests have heard what they had been answered before.
void Audit::hear_losses() {
  if (losses_untold_ != 0 || clock_.now() <= losses_heard_at_) return;
  if (std::exchange(losses_unheard_of_, false)) values_.loss_heard();
}

// Nobody can know of it.
void Audit::on_loss_kept(std::uint64_t loss) {
  --losses_untold_;
  errors_.forgive(loss);
  values_.loss_unheard();
}

void Audit::on_complaint(const char* what) {
  note({.rule = check::Rule::illegal, .sentence = std::string("the tail was sent ") + what});
}

void Audit::note(check::Violation violation) {
  if (violation && !violation_) violation_ = std::move(violation);
}

}  // namespace world
