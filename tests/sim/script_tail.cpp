#include "tests/sim/script_tail.hpp"

namespace sim {

using head::be32;
namespace wire = head::nbd::wire;

void option_reply(Bytes& to, wire::Option option, wire::OptionReplyType type, const Bytes& body) {
  wire::OptionReply head;
  head.option = static_cast<std::uint32_t>(option);
  head.type = static_cast<std::uint32_t>(type);
  head.length = static_cast<std::uint32_t>(body.size());
  to << head;
  to.insert(to.end(), body.begin(), body.end());
}

Bytes greeting(bool structured) {
  using Type = wire::OptionReplyType;
  Bytes all;
  wire::NewstyleHello hello;
  hello.flags = std::uint16_t{3};
  all << hello;
  option_reply(all, wire::Option::structured_reply, structured ? Type::ack : Type::err_unsup);
  if (structured) {
    Bytes context;
    context << be32(7u) << std::string_view("base:allocation");
    option_reply(all, wire::Option::set_meta_context, Type::meta_context, context);
    option_reply(all, wire::Option::set_meta_context, Type::ack);
  }
  Bytes info;
  wire::InfoExport what;
  what.size = std::uint64_t{1} << 20;
  what.flags = all_flags;
  info << what;
  option_reply(all, wire::Option::go, Type::info, info);
  Bytes sizes;
  wire::InfoBlockSize block;
  block.minimum = 1u;
  block.preferred = 4096u;
  block.payload_maximum = 32u << 20;
  sizes << block;
  option_reply(all, wire::Option::go, Type::info, sizes);
  option_reply(all, wire::Option::go, Type::ack);
  return all;
}

wire::StructuredReply chunk(wire::Chunk type, std::uint32_t length, bool done,
                            std::uint64_t cookie) {
  wire::StructuredReply head;
  head.flags = done ? wire::reply_flag_done : std::uint16_t{0};
  head.type = static_cast<std::uint16_t>(type);
  head.cookie = cookie;
  head.length = length;
  return head;
}

}  // namespace sim
