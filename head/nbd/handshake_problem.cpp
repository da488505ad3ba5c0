// What an operator reads when a tail could not be opened.
#include "head/nbd/handshake.hpp"

#include <cstdint>

namespace head::nbd {

std::string ClientHandshake::problem() const {
  const std::string broken = "The tail breaks the NBD protocol: ";
  const std::string look = "; look at what listens at the disc's address.";
  std::string name = "\"" + name_.substr(0, 96) + (name_.size() > 96 ? "...\"" : "\"");
  const std::string said = said_.empty() ? std::string() : " (it says: " + said_ + ")";

  switch (failure_) {
    case HandshakeFailure::none:
      return {};
    case HandshakeFailure::not_nbd:
      return "What answers at the disc's address is not an NBD server; check address and port.";
    case HandshakeFailure::bad_reply:
      return broken + "its reply belongs to no question" + look;
    case HandshakeFailure::reply_too_long:
      return broken + "its reply is too long" + look;
    case HandshakeFailure::too_many_replies:
      return broken + "its replies do not end" + look;
    case HandshakeFailure::unexpected_reply:
      return broken + "its reply is not of the kind asked" + look;
    case HandshakeFailure::no_export_info:
      return broken + "it does not describe the export" + look;
    case HandshakeFailure::bad_block_size:
      return broken + "block sizes " + std::to_string(info_.block_minimum) + ", " +
             std::to_string(info_.block_preferred) + " and " +
             std::to_string(info_.payload_maximum) + " do not go together" + look;
    case HandshakeFailure::bad_size:
      return "The export " + name + " has " + std::to_string(info_.size) +
             " bytes, which cannot be a disc; give it " +
             (info_.size > INT64_MAX ? "no more than 2^63-1 bytes" : "at least one block") +
             " on the tail.";
    case HandshakeFailure::no_flags:
      return broken + "the export has no flags" + look;
    case HandshakeFailure::export_unknown:
      return "The tail has no export " + name + said + "; check the name in the disc's URI.";
    case HandshakeFailure::tls_required:
      return "The tail demands TLS" + said +
             ", which is not yet supported; allow plain connections on the tail.";
    case HandshakeFailure::refused:
      return "The tail refuses the export " + name + said + "; its own log says why.";
    case HandshakeFailure::block_size_required:
      return broken + "it wants to be asked for block sizes, and was asked" + look;
    case HandshakeFailure::shutting_down:
      return "The tail is shutting down" + said + "; the disc opens when it is back.";
  }
  return {};
}

}  // namespace head::nbd
