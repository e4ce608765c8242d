/* How a listener speaks TLS, and as whom. */
#ifndef BARTIZAN_TLS_HPP
#define BARTIZAN_TLS_HPP

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "error.hpp"

namespace bartizan {

/// A certificate chain and its key.
class identity {
  public:
    static identity from_pem(std::string_view chain, std::string_view key) {
        bartizan_identity *raw = nullptr;
        detail::set_up([&](bartizan_error **err) {
            return bartizan_identity_from_pem(chain.data(), chain.size(), key.data(), key.size(), &raw, err);
        });
        return identity(raw);
    }
    /// For development: "localhost,127.0.0.1,::1".
    static identity self_signed(std::string_view names) {
        bartizan_identity *raw = nullptr;
        detail::set_up([&](bartizan_error **err) {
            return bartizan_identity_self_signed(names.data(), names.size(), &raw, err);
        });
        return identity(raw);
    }
    const bartizan_identity *get() const noexcept { return raw_.get(); }

  private:
    explicit identity(bartizan_identity *raw) noexcept : raw_(raw) {}
    detail::owned<bartizan_identity, bartizan_identity_free> raw_;
};

/// How a listener speaks TLS.
class tls {
  public:
    tls() : raw_(bartizan_tls_new()) {
        if (!raw_) detail::checked("bartizan_tls_new", BARTIZAN_E_PANIC);
    }

    /// "intermediate", "modern", "pq-required".
    void policy(std::string_view name) {
        std::string policy = detail::terminated(name);
        set_up([&](auto err) { return bartizan_tls_policy(raw_.get(), policy.c_str(), err); });
    }
    void groups(std::string_view list) {
        set_up([&](auto err) { return bartizan_tls_groups(raw_.get(), list.data(), list.size(), err); });
    }
    void suites(std::string_view list) {
        set_up([&](auto err) { return bartizan_tls_suites(raw_.get(), list.data(), list.size(), err); });
    }
    void versions(std::string_view list) {
        set_up([&](auto err) { return bartizan_tls_versions(raw_.get(), list.data(), list.size(), err); });
    }
    void alpn(std::string_view list) {
        set_up([&](auto err) { return bartizan_tls_alpn(raw_.get(), list.data(), list.size(), err); });
    }

    /// The identity for clients that send no name, or one that nothing matches.
    void identity(const bartizan::identity &identity) {
        set_up([&](auto err) { return bartizan_tls_identity(raw_.get(), nullptr, identity.get(), err); });
    }
    void identity(std::string_view server_name, const bartizan::identity &identity) {
        std::string name = detail::terminated(server_name);
        set_up([&](auto err) { return bartizan_tls_identity(raw_.get(), name.c_str(), identity.get(), err); });
    }
    /// Takes identity, policy and client rules for one server name from another description.
    void server_name(std::string_view server_name, const tls &other) {
        std::string name = detail::terminated(server_name);
        set_up([&](auto err) { return bartizan_tls_server_name(raw_.get(), name.c_str(), other.get(), err); });
    }
    /// BARTIZAN_CLIENT_AUTH_..., and the certificates that a client's must come from.
    void client_auth(std::uint32_t mode, std::string_view ca_pem = {}) {
        set_up([&](auto err) {
            return bartizan_tls_client_auth(raw_.get(), mode, ca_pem.data(), ca_pem.size(), err);
        });
    }
    /// Each of BARTIZAN_TICKET_KEY_LEN octets; the first seals, all open.
    void ticket_keys(const std::vector<std::array<unsigned char, BARTIZAN_TICKET_KEY_LEN>> &keys) {
        set_up([&](auto err) { return bartizan_tls_ticket_keys(raw_.get(), keys.data(), keys.size(), err); });
    }

    const bartizan_tls *get() const noexcept { return raw_.get(); }

  private:
    template <class Call> static void set_up(Call &&call) {
        detail::set_up([&](bartizan_error **err) { return call(err); });
    }

    detail::owned<bartizan_tls, bartizan_tls_free> raw_;
};

} // namespace bartizan

#endif
