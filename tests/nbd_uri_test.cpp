#include "head/nbd/uri.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace head::nbd;
using Catch::Matchers::Contains;

namespace {

Uri good(std::string_view text) {
  const auto uri = parse_uri(text);
  INFO(text << ": " << (uri ? "" : uri.error()));
  REQUIRE(uri);
  return *uri;
}

std::string problem(std::string_view text) {
  const auto uri = parse_uri(text);
  INFO(text);
  REQUIRE(!uri);
  // One sentence, which others put into theirs.
  CHECK(uri.error().back() != '.');
  CHECK(uri.error().find(". ") == std::string::npos);
  CHECK_FALSE((uri.error().front() >= 'A' && uri.error().front() <= 'Z'));
  return uri.error();
}

}  // namespace

TEST_CASE("A URI names address, port and export", "[nbd]") {
  const Uri uri = good("nbd://[2001:db8::7]:1234/disk");
  CHECK(uri.address == std::array<std::uint8_t, 16>{0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0,  //
                                                    0, 0, 0, 0, 0, 0, 0, 7});
  CHECK(uri.port == 1234);
  CHECK(uri.export_name == "disk");
  CHECK(uri.zone.empty());

  CHECK(good("nbd://[fd00::1]").port == 10809);
  CHECK(good("nbd://[fd00::1]:/x").port == 10809);
  CHECK(good("NBD://[FD00::1]") == good("nbd://[fd00::1]/"));
}

TEST_CASE("The export name is the path after its first slash, decoded", "[nbd]") {
  CHECK(good("nbd://[fd00::1]").export_name.empty());
  CHECK(good("nbd://[fd00::1]/").export_name.empty());
  CHECK(good("nbd://[fd00::1]//disk").export_name == "/disk");
  CHECK(good("nbd://[fd00::1]/a/b").export_name == "a/b");
  CHECK(good("nbd://[fd00::1]/hello%20world").export_name == "hello world");
  CHECK(good("nbd://[fd00::1]/%c3%A9%2F%3F").export_name == "\xc3\xa9/?");
  CHECK(good("nbd://[fd00::1]/" + std::string(4096, 'x')).export_name.size() == 4096);
}

TEST_CASE("A zone id may be written as RFC 6874 has it, or bare", "[nbd]") {
  CHECK(good("nbd://[fe80::1%25eth0]/x").zone == "eth0");
  CHECK(good("nbd://[fe80::1%eth0]/x").zone == "eth0");
  CHECK(good("nbd://[fe80::1%2]/x").zone == "2");
  CHECK(good("nbd://[fe80::1%25br%2Dlan]:7/x").zone == "br-lan");
  CHECK_THAT(problem("nbd://[fe80::1%25]"), Contains("zone id") && Contains("%25eth0"));
  CHECK_THAT(problem("nbd://[fe80::1%]"), Contains("zone id"));
  CHECK_THAT(problem("nbd://[fe80::1%25a%2Fb]"), Contains("zone id"));
  CHECK_THAT(problem("nbd://[fe80::1%25a%2]"), Contains("zone id"));
  CHECK_THAT(problem("nbd://[fe80::1%25..]"), Contains("zone id"));
  CHECK_THAT(problem("nbd://[fe80::1%25sixteen-letters-]"), Contains("zone id"));
}

TEST_CASE("What cannot be is refused with one sentence that names it", "[nbd]") {
  CHECK_THAT(problem("nbds://[fd00::1]/x"), Contains("TLS") && Contains("not yet supported"));
  CHECK_THAT(problem("nbds+unix:///x?socket=y"), Contains("TLS"));
  CHECK_THAT(problem("nbd+unix:///x?socket=/tmp/y"), Contains("Unix socket"));
  CHECK_THAT(problem("http://[fd00::1]/x"), Contains("\"http\""));
  CHECK_THAT(problem("fd00::1"), Contains("not an NBD URI"));
  CHECK_THAT(problem(""), Contains("not an NBD URI"));
  CHECK_THAT(problem("nbd:///x"), Contains("no address"));
  CHECK_THAT(problem("nbd://tail7.example:10809/x"),
             Contains("\"tail7.example\"") && Contains("host name"));
  CHECK_THAT(problem("nbd://192.0.2.7:10809/x"), Contains("\"192.0.2.7\"") && Contains("IPv4"));
  CHECK_THAT(problem("nbd://[::ffff:192.0.2.7]/x"), Contains("IPv4"));
  CHECK_THAT(problem("nbd://[192.0.2.7]/x"), Contains("not an IPv6 address"));
  CHECK_THAT(problem("nbd://fd00::1/x"), Contains("brackets"));
  CHECK_THAT(problem("nbd://[fd00::1/x"), Contains("closing bracket"));
  CHECK_THAT(problem("nbd://[fd00::12345]/x"), Contains("not an IPv6 address"));
  CHECK_THAT(problem("nbd://[]/x"), Contains("not an IPv6 address"));
  CHECK_THAT(problem("nbd://[::]/x"), Contains("not the address of one host"));
  CHECK_THAT(problem("nbd://[ff02::1]/x"), Contains("not the address of one host"));
  CHECK_THAT(problem("nbd://bob@[fd00::1]/x"), Contains("\"bob\""));
  CHECK_THAT(problem("nbd://[fd00::1]/x?tls-type=psk"), Contains("\"?tls-type=psk\""));
  CHECK_THAT(problem("nbd://[fd00::1]/x#top"), Contains("\"#top\""));
  for (const char* port : {"0", "65536", "4294967297", "-1", "+1", "1x", " 1", "99999999999999"})
    CHECK_THAT(problem("nbd://[fd00::1]:" + std::string(port) + "/x"), Contains("65535"));
  CHECK_THAT(problem("nbd://[fd00::1]x/x"), Contains("after the address"));
}

TEST_CASE("An export name that the protocol or a URI cannot hold is refused", "[nbd]") {
  CHECK_THAT(problem("nbd://[fd00::1]/a%00b"), Contains("NUL"));
  CHECK_THAT(problem("nbd://[fd00::1]/a%2"), Contains("hexadecimal"));
  CHECK_THAT(problem("nbd://[fd00::1]/a%zz"), Contains("hexadecimal"));
  CHECK_THAT(problem("nbd://[fd00::1]/a b"), Contains("%20"));
  CHECK_THAT(problem("nbd://[fd00::1]/\xc3\xa9"), Contains("%C3"));
  CHECK_THAT(problem("nbd://[fd00::1]/%ff"), Contains("UTF-8"));
  CHECK_THAT(problem("nbd://[fd00::1]/%c0%80"), Contains("UTF-8"));
  CHECK_THAT(problem("nbd://[fd00::1]/%ed%a0%80"), Contains("UTF-8"));
  CHECK_THAT(problem("nbd://[fd00::1]/" + std::string(4097, 'x')), Contains("4097"));
  CHECK_THAT(problem(std::string("nbd://[fd00::1]/\0x", 18)), Contains("%00"));
}

TEST_CASE("Text of a URI reads back as the same URI", "[nbd]") {
  const auto seed = GENERATE(range(0u, 500u));
  CAPTURE(seed);
  std::mt19937 random(seed);
  const auto below = [&](unsigned n) { return std::uniform_int_distribution(0u, n - 1)(random); };

  Uri uri;
  uri.address = {0xfd};
  for (std::size_t i = 1; i < 16; ++i)
    uri.address[i] = static_cast<std::uint8_t>(below(3) == 0 ? below(256) : 0);
  if (below(2) == 0) uri.port = static_cast<std::uint16_t>(1 + below(65535));
  for (unsigned i = below(3) == 0 ? 1 + below(15) : 0; i > 0; --i) {
    const char c = static_cast<char>('!' + below('~' - '!' + 1));
    uri.zone += c == '/' || c == ':' || c == '.' ? '%' : c;
  }
  for (unsigned i = below(3) == 0 ? 0 : below(200); i > 0; --i)
    uri.export_name += static_cast<char>(1 + below(127));
  if (below(2) == 0) uri.export_name += "\xe2\x82\xac\xf0\x9f\x98\x80";

  CAPTURE(to_string(uri));
  CHECK(good(to_string(uri)) == uri);
}
