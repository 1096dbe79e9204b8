/* clip_kin.h: models of transformers that are CLIP's two encoders with CLIP's names, under model
 * types of their own: MetaCLIP 2 (Chuang et al. 2025, arXiv:2507.22062) and CLIPSeg (Lueddecke and
 * Ecker 2022, arXiv:2112.10003), whose decoder is left in the file. */
#ifndef CLIPMDL_CLIP_KIN_H
#define CLIPMDL_CLIP_KIN_H

#include "model/family/huggingface.h"

/* clipmdl_clip_kin_read(): read the configuration of such a type.
 * *is  out  false: it is none of them
 * Errors: CLIP_EFORMAT, CLIP_EUNSUPPORTED. */
clip_status clipmdl_clip_kin_read(const clipmdl_reader *r, const cJSON *root, const char *type, clipmdl_config *c,
                                  bool *is);

/* clipmdl_clip_kin_prepare(): CLIPSeg's encoder takes larger pictures than its table of positions
 * is made for. Where preprocessor_config.json says so, the table is resized, as transformers does.
 * Errors: CLIP_EFORMAT, CLIP_EMISMATCH, CLIP_ENOMEM. */
clip_status clipmdl_clip_kin_prepare(clipmdl_store *s, const clipmdl_found *f, clip_error *err);

extern const clipmdl_processor clipmdl_vit_processor; /* transformers' ViTImageProcessor */

#endif
