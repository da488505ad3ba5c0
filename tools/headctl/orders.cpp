// hold, resume, fail: what is done with what guests ask, as an operator wants it. And look.
#include "tools/headctl/commands.hpp"
#include "tools/headctl/output.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace headctl {

namespace {

using nlohmann::json;

Exit order(const Context& context, const OrderOptions& options, const json& change,
           const char* said) {
  Client client = context.client();
  json answers = json::array();
  for (const std::string& name : options.names) {
    json disc = client.patch(disc_path(name), change);
    if (!context.json) print(fmt::format("{} {}\n", name, said));
    answers.push_back(std::move(disc));
  }
  if (context.json) print(answers);
  return Exit::done;
}

}  // namespace

Exit hold(const Context& context, const OrderOptions& options) {
  return order(context, options, {{"order", "hold"}},
               "is held: what its guests ask waits for `headctl resume`");
}

Exit resume(const Context& context, const OrderOptions& options) {
  return order(context, options, {{"order", "serve"}}, "goes on");
}

Exit fail(const Context& context, const OrderOptions& options) {
  return order(context, options, {{"order", "fail"}},
               "fails: its guests get EIO for all they ask until `headctl resume`");
}

Exit look(const Context& context, const OrderOptions& options) {
  return order(context, options, {{"look", true}},
               "looks at its tail; `headctl discs NAME` has what that offers now");
}

}  // namespace headctl
