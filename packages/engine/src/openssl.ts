// The OpenSSL inside Node, as far as we use it; each function with its manual section. Pointers are numbers and stay in this package.
import { allocPinned, bindForeign, copyFromC, type ForeignTable, readPointer } from "@ambit/linux/syscalls";
import koffi from "koffi";

const TABLE: ForeignTable = [
  ["uint64_t TLS_method()", "SSL_CTX_new(3)"],
  ["uint64_t SSL_CTX_new(uint64_t)", "SSL_CTX_new(3)"],
  ["void SSL_CTX_free(uint64_t)", "SSL_CTX_free(3)"],
  ["int64_t SSL_CTX_ctrl(uint64_t, int, int64_t, uint64_t)", "SSL_CTX_ctrl(3)"],
  ["int SSL_CTX_set_ciphersuites(uint64_t, str)", "SSL_CTX_set_ciphersuites(3)"],
  ["uint64_t SSL_CTX_set_options(uint64_t, uint64_t)", "SSL_CTX_set_options(3)"],
  ["int SSL_CTX_set_num_tickets(uint64_t, uint64_t)", "SSL_CTX_set_num_tickets(3)"],
  ["void SSL_CTX_set_verify(uint64_t, int, uint64_t)", "SSL_CTX_set_verify(3)"],
  ["void SSL_CTX_set_default_read_buffer_len(uint64_t, uint64_t)", "SSL_CTX_set_default_read_buffer_len(3)"],
  ["int SSL_CTX_set_alpn_protos(uint64_t, uint64_t, uint32_t)", "SSL_CTX_set_alpn_protos(3)"],
  ["void SSL_CTX_set_alpn_select_cb(uint64_t, uint64_t, uint64_t)", "SSL_CTX_set_alpn_select_cb(3)"],
  ["void SSL_CTX_set_keylog_callback(uint64_t, uint64_t)", "SSL_CTX_set_keylog_callback(3)"],
  ["int SSL_CTX_use_certificate(uint64_t, uint64_t)", "SSL_CTX_use_certificate(3)"],
  ["int SSL_CTX_use_PrivateKey(uint64_t, uint64_t)", "SSL_CTX_use_PrivateKey(3)"],
  ["int SSL_CTX_check_private_key(uint64_t)", "SSL_CTX_check_private_key(3)"],
  ["uint64_t SSL_CTX_get_cert_store(uint64_t)", "SSL_CTX_get_cert_store(3)"],
  ["uint64_t SSL_new(uint64_t)", "SSL_new(3)"],
  ["void SSL_free(uint64_t)", "SSL_free(3)"],
  ["void SSL_set_bio(uint64_t, uint64_t, uint64_t)", "SSL_set_bio(3)"],
  ["void SSL_set_connect_state(uint64_t)", "SSL_set_connect_state(3)"],
  ["void SSL_set_accept_state(uint64_t)", "SSL_set_accept_state(3)"],
  ["int SSL_do_handshake(uint64_t)", "SSL_do_handshake(3)"],
  ["int SSL_read(uint64_t, uint64_t, int)", "SSL_read(3)"],
  ["int SSL_write(uint64_t, uint64_t, int)", "SSL_write(3)"],
  ["int SSL_has_pending(uint64_t)", "SSL_pending(3)"],
  ["int SSL_shutdown(uint64_t)", "SSL_shutdown(3)"],
  ["int SSL_get_error(uint64_t, int)", "SSL_get_error(3)"],
  ["int64_t SSL_get_verify_result(uint64_t)", "SSL_get_verify_result(3)"],
  ["uint64_t SSL_get0_peer_certificate(uint64_t)", "SSL_get_peer_certificate(3)"],
  ["uint64_t SSL_get0_verified_chain(uint64_t)", "SSL_get0_verified_chain(3)"],
  ["void SSL_get0_alpn_selected(uint64_t, uint64_t, uint64_t)", "SSL_get0_alpn_selected(3)"],
  ["uint64_t BIO_new_socket(int, int)", "BIO_s_socket(3)"],
  ["int BIO_new_bio_pair(uint64_t, uint64_t, uint64_t, uint64_t)", "BIO_s_bio(3)"],
  ["int BIO_nread0(uint64_t, uint64_t)", "BIO_s_bio(3)"],
  ["int BIO_nread(uint64_t, uint64_t, int)", "BIO_s_bio(3)"],
  ["int BIO_write(uint64_t, const uint8_t *, int)", "BIO_write(3)"],
  ["uint64_t BIO_new(uint64_t)", "BIO_new(3)"],
  ["uint64_t BIO_s_mem()", "BIO_s_mem(3)"],
  ["int BIO_free(uint64_t)", "BIO_free(3)"],
  ["uint64_t PEM_read_bio_X509(uint64_t, uint64_t, uint64_t, uint64_t)", "PEM_read_bio_X509(3)"],
  ["uint64_t PEM_read_bio_PrivateKey(uint64_t, uint64_t, uint64_t, uint64_t)", "PEM_read_bio_PrivateKey(3)"],
  ["void X509_free(uint64_t)", "X509_free(3)"],
  ["void EVP_PKEY_free(uint64_t)", "EVP_PKEY_free(3)"],
  ["int X509_STORE_add_cert(uint64_t, uint64_t)", "X509_STORE_add_cert(3)"],
  ["int X509_STORE_set_flags(uint64_t, uint64_t)", "X509_STORE_set_flags(3)"],
  ["uint64_t X509_get_ext_d2i(uint64_t, int, uint64_t, uint64_t)", "X509_get_ext_d2i(3)"],
  ["uint64_t X509_get0_notAfter(uint64_t)", "X509_get0_notAfter(3)"],
  ["uint64_t X509_get0_serialNumber(uint64_t)", "X509_get0_serialNumber(3)"],
  ["int i2d_X509(uint64_t, uint64_t)", "i2d_X509(3)"],
  ["str X509_verify_cert_error_string(int64_t)", "X509_verify_cert_error_string(3)"],
  ["int ASN1_TIME_to_tm(uint64_t, uint64_t)", "ASN1_TIME_to_tm(3)"],
  ["uint64_t ASN1_STRING_get0_data(uint64_t)", "ASN1_STRING_get0_data(3)"],
  ["int ASN1_STRING_length(uint64_t)", "ASN1_STRING_length(3)"],
  ["int OPENSSL_sk_num(uint64_t)", "DEFINE_STACK_OF(3)"],
  ["uint64_t OPENSSL_sk_value(uint64_t, int)", "DEFINE_STACK_OF(3)"],
  ["uint64_t GENERAL_NAME_get0_value(uint64_t, uint64_t)", "X509_get_ext_d2i(3)"],
  ["void GENERAL_NAMES_free(uint64_t)", "X509_get_ext_d2i(3)"],
  ["uint64_t ERR_get_error()", "ERR_get_error(3)"],
  ["void ERR_clear_error()", "ERR_clear_error(3)"],
  ["str ERR_reason_error_string(uint64_t)", "ERR_error_string(3)"],
];

export interface OpenSsl {
  TLS_method(): number;
  SSL_CTX_new(method: number): number;
  SSL_CTX_free(ctx: number): void;
  SSL_CTX_ctrl(ctx: number, command: number, argument: number, pointer: number): number;
  SSL_CTX_set_ciphersuites(ctx: number, suites: string): number;
  SSL_CTX_set_options(ctx: number, options: number): number;
  SSL_CTX_set_num_tickets(ctx: number, count: number): number;
  SSL_CTX_set_verify(ctx: number, mode: number, callback: number): void;
  SSL_CTX_set_default_read_buffer_len(ctx: number, length: number): void;
  SSL_CTX_set_alpn_protos(ctx: number, protocols: number, length: number): number;
  SSL_CTX_set_alpn_select_cb(ctx: number, callback: bigint, argument: number): void;
  SSL_CTX_set_keylog_callback(ctx: number, callback: bigint): void;
  SSL_CTX_use_certificate(ctx: number, x509: number): number;
  SSL_CTX_use_PrivateKey(ctx: number, key: number): number;
  SSL_CTX_check_private_key(ctx: number): number;
  SSL_CTX_get_cert_store(ctx: number): number;
  SSL_new(ctx: number): number;
  SSL_free(ssl: number): void;
  SSL_set_bio(ssl: number, read: number, write: number): void;
  SSL_set_connect_state(ssl: number): void;
  SSL_set_accept_state(ssl: number): void;
  SSL_do_handshake(ssl: number): number;
  SSL_read(ssl: number, buffer: number, length: number): number;
  SSL_write(ssl: number, buffer: number, length: number): number;
  SSL_has_pending(ssl: number): number;
  SSL_shutdown(ssl: number): number;
  SSL_get_error(ssl: number, result: number): number;
  SSL_get_verify_result(ssl: number): number;
  SSL_get0_peer_certificate(ssl: number): number;
  SSL_get0_verified_chain(ssl: number): number;
  SSL_get0_alpn_selected(ssl: number, dataPointer: number, lengthPointer: number): void;
  BIO_new_socket(fd: number, close: number): number;
  BIO_new_bio_pair(first: number, firstSize: number, second: number, secondSize: number): number;
  BIO_nread0(bio: number, dataPointer: number): number;
  BIO_nread(bio: number, dataPointer: number, length: number): number;
  BIO_write(bio: number, bytes: Uint8Array, length: number): number;
  BIO_new(method: number): number;
  BIO_s_mem(): number;
  BIO_free(bio: number): number;
  PEM_read_bio_X509(bio: number, target: number, callback: number, password: number): number;
  PEM_read_bio_PrivateKey(bio: number, target: number, callback: number, password: number): number;
  X509_free(x509: number): void;
  EVP_PKEY_free(key: number): void;
  X509_STORE_add_cert(store: number, x509: number): number;
  X509_STORE_set_flags(store: number, flags: number): number;
  X509_get_ext_d2i(x509: number, nid: number, critical: number, index: number): number;
  X509_get0_notAfter(x509: number): number;
  X509_get0_serialNumber(x509: number): number;
  i2d_X509(x509: number, target: number): number;
  X509_verify_cert_error_string(code: number): string;
  ASN1_TIME_to_tm(time: number, tm: number): number;
  ASN1_STRING_get0_data(text: number): number;
  ASN1_STRING_length(text: number): number;
  OPENSSL_sk_num(stack: number): number;
  OPENSSL_sk_value(stack: number, index: number): number;
  GENERAL_NAME_get0_value(name: number, typePointer: number): number;
  GENERAL_NAMES_free(names: number): void;
  ERR_get_error(): number | bigint;
  ERR_clear_error(): void;
  ERR_reason_error_string(code: number | bigint): string | null;
}

const binding = bindForeign<OpenSsl>(TABLE);

export const openssl: OpenSsl = binding.functions;
export const missingOpenSslSymbols = binding.missing;

/** Results of SSL_get_error(3). */
export const SSL_ERROR = { ssl: 1, wantRead: 2, wantWrite: 3, syscall: 5, zeroReturn: 6 } as const;

/** Reasons of OpenSSL's error queue, newest last, and empties it: SSL_get_error needs an empty one before the next call. */
export function takeErrors(): string[] {
  const reasons: string[] = [];
  for (let code = openssl.ERR_get_error(); Number(code) !== 0; code = openssl.ERR_get_error()) {
    reasons.push(openssl.ERR_reason_error_string(code) ?? `error 0x${code.toString(16)}`);
  }
  return reasons;
}

const pointerSlot = allocPinned(16);
const nameType = allocPinned(4);
const tm = allocPinned(64);
const der = allocPinned(64 * 1024);

const NID_SUBJECT_ALT_NAME = 85;
const GENERAL_NAME_URI = 6;

/** Subject alternative names of type URI, in order. */
export function certificateUris(x509: number): string[] {
  const names = openssl.X509_get_ext_d2i(x509, NID_SUBJECT_ALT_NAME, 0, 0);
  if (names === 0) return [];
  const uris: string[] = [];
  for (let i = 0; i < openssl.OPENSSL_sk_num(names); i++) {
    const value = openssl.GENERAL_NAME_get0_value(openssl.OPENSSL_sk_value(names, i), nameType.address);
    if (nameType.view.getInt32(0, true) === GENERAL_NAME_URI) uris.push(Buffer.from(asn1Bytes(value)).toString("latin1"));
  }
  openssl.GENERAL_NAMES_free(names);
  return uris;
}

/** Milliseconds since the epoch; NaN when the certificate has no readable time, which compares as expired nowhere and valid nowhere. */
export function certificateNotAfterMs(x509: number): number {
  if (openssl.ASN1_TIME_to_tm(openssl.X509_get0_notAfter(x509), tm.address) !== 1) return Number.NaN;
  const field = (index: number) => tm.view.getInt32(4 * index, true);
  // struct tm: seconds, minutes, hours, day, month from 0, years since 1900.
  return Date.UTC(field(5) + 1900, field(4), field(3), field(2), field(1), field(0));
}

/** Lower-case hexadecimal. */
export function certificateSerial(x509: number): string {
  return Buffer.from(asn1Bytes(openssl.X509_get0_serialNumber(x509))).toString("hex");
}

/** undefined for a certificate over 64 KiB. */
export function certificateDer(x509: number): Uint8Array | undefined {
  const length = openssl.i2d_X509(x509, 0);
  if (length <= 0 || length > der.bytes.length) return undefined;
  pointerSlot.view.setBigUint64(0, BigInt(der.address), true);
  openssl.i2d_X509(x509, pointerSlot.address);
  return der.bytes.slice(0, length);
}

/** The protocol that ALPN agreed on; empty when there is none. */
export function alpnSelected(ssl: number): string {
  openssl.SSL_get0_alpn_selected(ssl, pointerSlot.address, pointerSlot.address + 8);
  const length = pointerSlot.view.getUint32(8, true);
  return Buffer.from(copyFromC(readPointer(pointerSlot.view, 0), length)).toString("latin1");
}

/** A C function pointer that makes a server choose `h2` and refuse a client that offers other protocols only. One per thread. */
export function selectH2Callback(): bigint {
  selectH2 ??= registerSelectH2();
  return selectH2;
}

/** ALPN's wire form: length, name. */
export const ALPN_H2 = allocPinned(3);
ALPN_H2.bytes.set([2, 0x68, 0x32]);

const TLSEXT_ERR_OK = 0;
const TLSEXT_ERR_ALERT_FATAL = 2;
let selectH2: bigint | undefined;

function registerSelectH2(): bigint {
  // Without a name: types are shared by all threads, and a name could be declared only once.
  const prototype = koffi.proto("int", ["uint64_t", "uint64_t", "uint64_t", "uint64_t", "uint32_t", "uint64_t"]);
  const select = (_ssl: number, out: number, outLength: number, offered: number, offeredLength: number): number => {
    if (!offersH2(copyFromC(Number(offered), offeredLength))) return TLSEXT_ERR_ALERT_FATAL;
    koffi.encode(BigInt(out), "uint64_t", BigInt(ALPN_H2.address + 1));
    koffi.encode(BigInt(outLength), "uint8_t", 2);
    return TLSEXT_ERR_OK;
  };
  return koffi.register(select, koffi.pointer(prototype));
}

/** A callback that gives the address of each key log line; one per thread, for as long as it lives. SSL_CTX_set_keylog_callback(3) */
export function keyLogCallback(onLine: (line: number) => void): bigint {
  // Without a name: types are shared by all threads, and a name could be declared only once.
  const prototype = koffi.proto("void", ["uint64_t", "uint64_t"]);
  return koffi.register((_ssl: number, line: number) => onLine(Number(line)), koffi.pointer(prototype));
}

function offersH2(offered: Uint8Array): boolean {
  for (let at = 0; at < offered.length; at += 1 + (offered[at] ?? 0)) {
    if (offered[at] === 2 && offered[at + 1] === 0x68 && offered[at + 2] === 0x32) return true;
  }
  return false;
}

function asn1Bytes(text: number): Uint8Array {
  return copyFromC(openssl.ASN1_STRING_get0_data(text), openssl.ASN1_STRING_length(text));
}
