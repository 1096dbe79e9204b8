/* clip_kin.h: models of transformers that are CLIP's two encoders with CLIP's names, under model
 * types of their own: MetaCLIP 2 (Chuang et al. 2025, arXiv:2507.22062) and CLIPSeg (Lueddecke and
 * Ecker 2022, arXiv:2112.10003), whose decoder is left in the file. */
#ifndef CLIPMDL_CLIP_KIN_H
#define CLIPMDL_CLIP_KIN_H

#include "model/family/huggingface.h"

/* clipmdl_clip_kin_read(): read the configuration of such a type. CLIPSeg's encoder takes larger
 * pictures than its positions are for, where preprocessor_config.json says so.
 * *is  out  false: it is none of them
 * Errors: CLIP_EFORMAT, CLIP_EUNSUPPORTED. */
clip_status clipmdl_clip_kin_read(const clipmdl_reader *r, const cJSON *root, const char *type, clipmdl_config *c,
                                  bool *is);

extern const clipmdl_processor clipmdl_vit_processor; /* transformers' ViTImageProcessor */

#endif
