// Copyright (c) 2026, LlamaOps contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// What llama.cpp itself says a launch takes: it builds the real model and context with no_alloc and reports the bytes
// of every buffer. One JSON request a line on stdin, one JSON answer a line on stdout. Arguments: the devices, each an
// RPC endpoint or a name such as CUDA0. Built by build_oracle.sh against the libraries of a llama.cpp build.
//
//   {"cmd":"shape","model":PATH}  a file with metadata only -> the tensors the architecture loads for that metadata
//   {"cmd":"probe","model":PATH,...}  bytes by device and component, and what became of the hyperparameters

#include "../src/llama-ext.h"
#include "../src/llama-model.h"
#include "ggml-backend.h"
#include "gguf.h"
#include "llama.h"

#include <nlohmann/json.hpp>

#include <cstdlib>
#include <iostream>
#include <map>
#include <string>
#include <vector>

using json = nlohmann::json;

static std::vector<ggml_backend_dev_t> g_devices;
static std::string g_log;

static void keep_errors(ggml_log_level level, const char * text, void *) {
    if (level == GGML_LOG_LEVEL_ERROR) {
        g_log += text;
    }
}

static json hparams_of(const llama_hparams & hp) {
    json layers = json::array();
    for (uint32_t il = 0; il < hp.n_layer_all; ++il) {
        layers.push_back({{"head", hp.n_head(il)}, {"kv", hp.n_head_kv(il)}, {"k", hp.n_embd_head_k(il)},
                          {"v", hp.n_embd_head_v(il)}, {"swa", hp.is_swa(il)}, {"recr", hp.is_recr(il)},
                          {"has_kv", hp.has_kv(il)}, {"ff", hp.n_ff(il)}});
    }
    return {{"layers", layers}, {"swa_type", (int) hp.swa_type}, {"n_swa", hp.n_swa}, {"mla", hp.is_mla()},
            {"r", hp.n_embd_r()}, {"s", hp.n_embd_s()}, {"nextn", hp.n_layer_nextn}, {"causal", hp.causal_attn}};
}

static json shape(const json & req) {
    gguf_init_params params = {/*.no_alloc =*/ true, /*.ctx =*/ nullptr};
    gguf_context * meta = gguf_init_from_file(req.at("model").get<std::string>().c_str(), params);
    if (!meta) {
        throw std::runtime_error("not a GGUF file");
    }
    llama_model_params mp = llama_model_default_params();
    mp.no_alloc = true;
    mp.load_mtp = true;
    ggml_backend_dev_t none = nullptr;
    mp.devices = &none;
    llama_model * model = llama_model_init_from_user(meta, [](ggml_tensor *, void *) {}, nullptr, mp);
    if (!model) {
        gguf_free(meta);
        throw std::runtime_error("the model cannot be made: " + g_log);
    }
    std::map<std::string, json> tensors;
    for (const auto & [name, t] : model->tensors_by_name) {
        std::vector<int64_t> dims(t->ne, t->ne + ggml_n_dims(t));
        tensors[name] = dims;
    }
    json out = {{"tensors", tensors}, {"hparams", hparams_of(model->hparams)}};
    llama_model_free(model);
    gguf_free(meta);
    return out;
}

static ggml_type type_of(const std::string & name) {
    for (int i = 0; i < GGML_TYPE_COUNT; ++i) {
        const char * known = ggml_type_name((ggml_type) i);
        if (known && name == known) {
            return (ggml_type) i;
        }
    }
    throw std::runtime_error("unknown type " + name);
}

static json breakdown(const llama_context * ctx) {
    json out = json::object();
    for (const auto & [buft, mb] : llama_get_memory_breakdown(ctx)) {
        ggml_backend_dev_t dev = ggml_backend_buft_get_device(buft);
        std::string key = "host";
        for (size_t i = 0; i < g_devices.size(); ++i) {
            if (dev == g_devices[i] && !ggml_backend_buft_is_host(buft)) {  // pinned memory names the device it is for
                key = std::to_string(i);
            }
        }
        json & cell = out.emplace(key, json::object()).first.value();
        for (const auto & [name, bytes] :
             {std::pair<const char *, size_t>{"model", mb.model}, {"context", mb.context}, {"compute", mb.compute}}) {
            cell[name] = cell.value(name, (size_t) 0) + bytes;
        }
    }
    return out;
}

static json probe(const json & req) {
    const size_t n_dev = req.value("devices", 0);
    std::vector<ggml_backend_dev_t> devices(g_devices.begin(), g_devices.begin() + n_dev);
    devices.push_back(nullptr);
    std::vector<float> split(llama_max_devices(), 0.0f);
    const auto ts = req.value("tensor_split", std::vector<float>());
    std::copy(ts.begin(), ts.end(), split.begin());
    std::vector<std::string> patterns;
    for (int i = 0; i < req.value("n_cpu_moe", 0); ++i) {
        patterns.push_back("blk\\." + std::to_string(i) + "\\.ffn_(up|down|gate|gate_up)_(ch|)exps");
    }
    std::vector<llama_model_tensor_buft_override> overrides;
    for (const auto & pattern : patterns) {
        overrides.push_back({pattern.c_str(), ggml_backend_cpu_buffer_type()});
    }
    overrides.push_back({nullptr, nullptr});

    llama_model_params mp = llama_model_default_params();
    mp.no_alloc = true;
    mp.use_extra_bufts = false;
    mp.load_mode = LLAMA_LOAD_MODE_NONE;
    mp.devices = devices.data();
    mp.n_gpu_layers = req.value("gpu_layers", -1);
    mp.tensor_split = split.data();
    mp.load_mtp = req.value("mtp", false);
    if (overrides.size() > 1) {
        mp.tensor_buft_overrides = overrides.data();
    }
    llama_model * model = llama_model_load_from_file(req.at("model").get<std::string>().c_str(), mp);
    if (!model) {
        throw std::runtime_error("model: " + g_log);
    }
    llama_context_params cp = llama_context_default_params();
    cp.n_ctx = req.value("ctx_size", 0);
    cp.n_batch = req.value("batch_size", 2048);
    cp.n_ubatch = req.value("ubatch_size", 512);
    cp.n_seq_max = req.value("parallel", 1);
    cp.kv_unified = req.value("kv_unified", false);
    cp.n_outputs_max = req.value("n_outputs_max", 0);
    cp.n_rs_seq = req.value("n_rs_seq", 0);
    cp.flash_attn_type = req.value("flash_attn", true) ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    cp.type_k = type_of(req.value("cache_type_k", std::string("f16")));
    cp.type_v = type_of(req.value("cache_type_v", std::string("f16")));
    cp.offload_kqv = req.value("kv_offload", true);
    cp.op_offload = req.value("op_offload", true);
    cp.swa_full = req.value("swa_full", false);
    cp.embeddings = req.value("embeddings", false);
    if (req.contains("pooling")) {
        cp.pooling_type = (enum llama_pooling_type) req.at("pooling").get<int>();
    }
    llama_context * ctx = llama_init_from_model(model, cp);
    if (!ctx) {
        llama_model_free(model);
        throw std::runtime_error("context: " + g_log);
    }
    json out = {{"main", breakdown(ctx)}, {"hparams", req.value("hparams", false) ? hparams_of(model->hparams) : json()}};
    if (req.value("mtp", false)) {
        cp.ctx_type = LLAMA_CONTEXT_TYPE_MTP;
        cp.n_rs_seq = 0;
        cp.n_outputs_max = cp.n_seq_max;
        cp.ctx_other = ctx;
        llama_context * mtp = llama_init_from_model(model, cp);
        if (mtp) {
            out["mtp"] = breakdown(mtp);
            llama_free(mtp);
        }
    }
    llama_free(ctx);
    llama_model_free(model);
    return out;
}

static ggml_backend_dev_t device(const std::string & name) {
    if (name.find(':') == std::string::npos) {
        return ggml_backend_dev_by_name(name.c_str());
    }
    ggml_backend_reg_t rpc = ggml_backend_reg_by_name("RPC");
    auto add = (ggml_backend_reg_t(*)(const char *)) ggml_backend_reg_get_proc_address(rpc, "ggml_backend_rpc_add_server");
    return ggml_backend_reg_dev_get(add(name.c_str()), 0);
}

int main(int argc, char ** argv) {
    llama_log_set(keep_errors, nullptr);
    llama_backend_init();
    ggml_backend_load_all();
    for (int i = 1; i < argc; ++i) {
        ggml_backend_dev_t dev = device(argv[i]);
        if (!dev) {
            std::cerr << "no device " << argv[i] << std::endl;
            return 1;
        }
        g_devices.push_back(dev);
    }
    for (std::string line; std::getline(std::cin, line);) {
        json answer;
        g_log.clear();
        try {
            const json req = json::parse(line);
            answer = req.at("cmd") == "shape" ? shape(req) : probe(req);
        } catch (const std::exception & e) {
            answer = {{"error", e.what()}};
        }
        std::cout << answer.dump() << std::endl;
    }
    return 0;
}
