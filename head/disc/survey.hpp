// What a tail offers now, while a disc's own connections serve: NBD tells a size only in the
// handshake, so this makes a connection of its own, asks nothing on it, and leaves.
#pragma once

#include "head/nbd/connection.hpp"

#include <optional>
#include <string>

namespace head::disc {

class Survey final : nbd::Connection::Owner {
 public:
  class Owner {
   public:
    // Once, and never inside a call: its connection is closed, and it may be destroyed. Where
    // nothing was found `said` is why; else what the connection has to note, if anything.
    virtual void on_surveyed(std::optional<nbd::ExportInfo> found, std::string said) noexcept = 0;

   protected:
    ~Owner() = default;
  };

  // Begins. `options` as a connection has them; they and `owner` outlive it.
  Survey(iouring::Io& io, Owner& owner, const nbd::ConnectionOptions& options,
         const sockaddr_in6& tail, const std::string& interface, const std::string& export_name)
      : owner_(owner), connection_(io, *this, options) {
    connection_.open(tail, interface, export_name);
  }

  // Nobody wants to know any more: on_surveyed() comes soon.
  void give_up() noexcept { connection_.fail("it is not wanted any more"); }

 private:
  void on_open() noexcept override {
    found_ = connection_.info();
    note_ = connection_.note();
    connection_.leave();
  }
  void on_closed(const std::string& problem, nbd::RequestQueue) noexcept override {
    owner_.on_surveyed(found_, found_ ? note_ : problem);
  }
  void on_answer(nbd::Request&, int) noexcept override {}
  void on_packets_lost(iouring::Instant) noexcept override {}
  void on_parked(iouring::Instant, iouring::Duration) noexcept override {}
  bool interface_was_away(iouring::Instant) const noexcept override { return false; }

  Owner& owner_;
  std::optional<nbd::ExportInfo> found_;
  std::string note_;
  nbd::Connection connection_;
};

}  // namespace head::disc
