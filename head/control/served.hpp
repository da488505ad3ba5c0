// A disc and how its guests reach it, together on one data thread. When it was closed and both have
// drained, `gone` is called, which destroys this, and then everybody who asked for the end. What
// was acknowledged until then is flushed first, where the tail can and does within
// `last_flush_within`.
//
// Where it is handed over, its guests are out of it before that, as soon as the disc has let go of
// their requests. What was acknowledged and is kept only here (mode replay) is flushed first, or
// after `flush_within` goes along, as does whatever else the disc knows (nbd::Legacy), and its
// connections to the tail on which nothing is unanswered by then.
#pragma once

#include "head/catalogue/disc_spec.hpp"
#include "head/control/data_thread.hpp"
#include "head/disc/disc.hpp"
#include "head/disc/survey.hpp"
#include "head/export/export.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace head::control {

class Served final : disc::Disc::Owner, exports::Export::Owner, disc::Survey::Owner {
 public:
  static constexpr std::chrono::milliseconds flush_within{250};
  static constexpr std::chrono::milliseconds last_flush_within{1'000};  // Nobody waits meanwhile.

  struct Context {
    iouring::Io& io;
    disc::Patience& patience;
    exports::PayloadPool& pool;
    stats::Stalls& stalls;
    const nbd::ConnectionOptions& connection;
    disc::GuardOptions guard;
    disc::Identity identity;  // Where the disc does not say.
    bool tail_closes_last;
    // An earlier headd hands over guests and no connections: begins to connect before take_up().
    bool connects_first = false;
  };

  // Guests come with take_up(), and connections to the tail; it begins to connect where none come.
  Served(const Context& context, const catalogue::DiscSpec& spec, const Attachment& with,
         std::function<void()> gone);
  ~Served() { io_.disarm(flush_late_); }

  void relocate() { disc_.relocate(); }
  void accept() { disc_.accept(); }
  // Finds out what its tail offers now, beside the connections that serve; where the size is
  // another one, or nothing serves, these are made anew. `done` when it is known, or cannot be.
  void look(std::function<void()> done);
  void change(const catalogue::DiscSpec& spec);

  const catalogue::DiscSpec& spec() const noexcept { return spec_; }
  const std::shared_ptr<stats::DiscStats>& stats() const noexcept { return disc_.stats(); }
  // To serve it again with: as it is known now.
  const Attachment& attachment() const noexcept { return with_; }
  bool closing() const noexcept { return !asked_.empty() || handed_; }
  bool listens() const noexcept { return export_.listens(); }
  // Has it ever? Else what is at the socket's place is another headd's.
  bool has_listened() const noexcept { return has_listened_; }
  bool over() const noexcept { return !disc_open_ && !export_open_ && survey_ == nullptr; }

  void take_up(exports::HandedDisc handed);
  // A listener, where take_up() had none.
  void listen(iouring::UniqueFd listener) {
    export_.take_up(std::move(listener), {});
    has_listened_ = listens();
  }
  // One of these, once. `connections_most`: to the tail, that go along.
  void hand_over(std::size_t connections_most, std::function<void(exports::HandedDisc)> handed);
  void close(std::function<void()> done);

 private:
  // Of what is kept, once no guest is there.
  struct PartingFlush final : nbd::Request {
    void on_done(int) noexcept override { busy = false; }
    bool busy = false;
  };
  struct LastFlush final : nbd::Request {
    explicit LastFlush(Served& whose) noexcept : served(whose) {}
    void on_done(int error) noexcept override { served.on_last_flush(error); }
    Served& served;
  };

  void on_disc_closed(disc::Disc&) noexcept override;
  void on_disc_opened(disc::Disc& disc, const stats::Opening& how) noexcept override;
  void on_disc_shape(disc::Disc&, const nbd::ExportInfo& shape) noexcept override;
  void on_disc_proven(disc::Disc&) noexcept override;
  void on_disc_unusable(disc::Disc&, const std::string& problem) noexcept override;
  void on_export_closed(exports::Export&) noexcept override;
  void on_export_empty(exports::Export&) noexcept override;
  void on_export_attended(exports::Export&, bool attended) noexcept override {
    disc_.attend(attended);
  }
  void on_export_quiet(exports::Export&) noexcept override;
  void on_export_handed(exports::Export&, exports::HandedDisc handed) noexcept override;
  void on_surveyed(std::optional<nbd::ExportInfo> found, std::string said) noexcept override;
  void flush_and_close(std::chrono::milliseconds within) noexcept;
  void end_disc() noexcept;
  bool may_be_unflushed() const noexcept;
  void on_last_flush(int error) noexcept;
  void tell_unflushed(int error) const noexcept;
  void on_flush_late() noexcept;
  void pass_on() noexcept;
  void finish() noexcept;

  catalogue::DiscSpec spec_;  // As it was changed last.
  Attachment with_;           // Its shape is the last that was told.
  iouring::Io& io_;
  stats::Stalls& stalls_;
  const nbd::ConnectionOptions& connection_;
  std::function<void()> gone_;
  std::function<void(exports::HandedDisc)> handed_;
  std::size_t connections_most_ = 0;
  std::optional<exports::HandedDisc> to_pass_on_;
  std::uint64_t flush_errors_handed_ = 0;  // Each guest knows of those, or is owed them.
  // Until the disc asks nothing of its tail any more.
  std::vector<std::function<void()>> asked_;
  PartingFlush parting_flush_;
  LastFlush last_flush_{*this};
  iouring::Alarm<&Served::on_flush_late> flush_late_{*this};
  disc::Disc disc_;
  exports::Export export_;
  std::unique_ptr<disc::Survey> survey_;  // While it goes on; then they are told:
  std::vector<std::function<void()>> lookers_;
  bool taken_up_ = false, has_listened_ = false;
  bool disc_open_ = true;
  bool export_open_ = true;
};

}  // namespace head::control
